# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""TPC-H's tables as a shop: customers, orders and line items with ids, tenants and times.

TPC-H has a fixed current date, 17 June 1995. What was shipped by then has the line status F, and
what was received by then was either returned (R) or accepted (A). `NOW` is the end of that day.
Dates come from TPC-H. Times of day and payment times are hashes of the keys.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.schema import TIMESTAMP
from local_stack.demo.hashing import Column, below, hashed

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
NOW = int(datetime(1995, 6, 18, tzinfo=UTC).timestamp()) * SECOND
"""The shop's present. All times of the shop are in microseconds since the epoch."""
OPENED = int(datetime(1992, 1, 1, tzinfo=UTC).timestamp()) * SECOND

TABLES = ("region", "nation", "customer", "orders", "lineitem")
ENTITIES = ("Region", "Nation", "Supplier", "Customer", "Part", "Order", "LineItem")
LINES_PER_ORDER = 8
"""The key of a line item is its order's key times this, plus its number (at most 7)."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Three tables, each sorted by its key, with the column names of the database."""

    customers: pa.Table
    """With the names of `nation` and `region`."""
    orders: pa.Table
    """With `customer_row`, the row of the customer."""
    lines: pa.Table
    """With `order_row`, the row of the order."""
    seed: int


def entity_words(entity: str, keys: Column, seed: int) -> Column:
    """The words from which an entity's UUID is made."""
    return hashed(keys, ENTITIES.index(entity), seed)


def make_shop(tables: dict[str, pa.Table], seed: int = 0) -> Shop:
    """Makes the shop from the TPC-H tables in `TABLES`."""
    chance = _Chance(seed)
    orders, lines = _orders(tables["orders"], chance), _lines(tables["lineitem"], chance)
    lines = _ordered(lines, orders)
    orders = _fulfilled(orders, lines, chance)
    customers = _customers(tables["customer"], _nations(tables), orders, chance)
    customer_row = pc.index_in(orders["fk_customer"], value_set=customers["pk_customer"])
    orders = orders.append_column("customer_row", customer_row)
    tenants = customers["tenant_id"].take(customer_row)
    orders = orders.append_column("tenant_id", tenants)
    lines = lines.append_column("tenant_id", tenants.take(lines["order_row"]))
    return Shop(customers.combine_chunks(), orders.combine_chunks(), lines.combine_chunks(), seed)


@dataclass(frozen=True, slots=True)
class _Chance:
    seed: int

    def between(self, keys: Column, what: int, low: int, high: int) -> Column:
        """A duration from `low` up to `high` per key. Each purpose uses another `what`."""
        return pc.add(below(hashed(keys, 100 + what, self.seed), high - low), low)


def moments(microseconds: Column) -> Column:
    """Converts microseconds to timestamps."""
    return microseconds.cast(TIMESTAMP)


def _start_of(days: Column) -> Column:
    return pc.multiply(days.cast(pa.int32()).cast(pa.int64()), DAY)


def _orders(raw: pa.Table, chance: _Chance) -> pa.Table:
    keys = raw["o_orderkey"]
    placed = pc.add(_start_of(raw["o_orderdate"]), chance.between(keys, 0, 0, DAY))
    # The first line may ship as early as 06:00 on the next day.
    paid = pc.add(placed, chance.between(keys, 1, 60 * SECOND, 5 * HOUR))
    return pa.table(
        {
            "pk_order": keys,
            "fk_customer": raw["o_custkey"],
            "total_price": raw["o_totalprice"],
            "order_date": raw["o_orderdate"],
            "placed_at": placed,
            "paid_at": paid,
            # 4-NOT SPECIFIED
            "priority": pc.replace_substring(
                pc.utf8_slice_codeunits(raw["o_orderpriority"], 2), " ", "_"
            ),
            "clerk": raw["o_clerk"],
            "ship_priority": raw["o_shippriority"],
            "comment": raw["o_comment"],
        }
    )


def _lines(raw: pa.Table, chance: _Chance) -> pa.Table:
    keys = pc.add(pc.multiply(raw["l_orderkey"], LINES_PER_ORDER), raw["l_linenumber"])
    received = _start_of(raw["l_receiptdate"])
    returned = pc.add(received, chance.between(keys, 4, 18 * HOUR, 23 * HOUR))
    return pa.table(
        {
            "pk_line_item": keys,
            "fk_order": raw["l_orderkey"],
            "line_number": raw["l_linenumber"],
            "fk_part": raw["l_partkey"],
            "fk_supplier": raw["l_suppkey"],
            "quantity": raw["l_quantity"],
            "extended_price": raw["l_extendedprice"],
            "discount": raw["l_discount"],
            "tax": raw["l_tax"],
            "return_flag": raw["l_returnflag"],
            "ship_date": raw["l_shipdate"],
            "commit_date": raw["l_commitdate"],
            "receipt_date": raw["l_receiptdate"],
            "shipped_at": pc.add(
                _start_of(raw["l_shipdate"]), chance.between(keys, 2, 6 * HOUR, 12 * HOUR)
            ),
            "received_at": pc.add(received, chance.between(keys, 3, 12 * HOUR, 18 * HOUR)),
            "returned_at": pc.if_else(pc.equal(raw["l_returnflag"], "R"), returned, None),
            "ship_instructions": raw["l_shipinstruct"],
            "ship_mode": raw["l_shipmode"],
            "comment": raw["l_comment"],
        }
    )


def _ordered(lines: pa.Table, orders: pa.Table) -> pa.Table:
    """The lines with the row of their order and their time, milliseconds after the order's."""
    order_row = pc.index_in(lines["fk_order"], value_set=orders["pk_order"])
    after = pc.multiply(lines["line_number"].cast(pa.int64()), SECOND // 1000)
    ordered_at = pc.add(orders["placed_at"].take(order_row), after)
    return lines.append_column("order_row", order_row).append_column("ordered_at", ordered_at)


def _fulfilled(orders: pa.Table, lines: pa.Table, chance: _Chance) -> pa.Table:
    """The orders with the times that follow from their lines."""
    ended = pc.coalesce(lines["returned_at"], lines["received_at"])
    spans = (
        pa.table({"order": lines["fk_order"], "shipped": lines["shipped_at"], "ended": ended})
        .group_by("order")
        .aggregate([("shipped", "min"), ("shipped", "max"), ("ended", "max")])
    )
    row = pc.index_in(orders["pk_order"], value_set=spans["order"])
    first, last = spans["shipped_min"].take(row), spans["shipped_max"].take(row)
    completed = pc.add(
        spans["ended_max"].take(row), chance.between(orders["pk_order"], 5, SECOND, 60 * SECOND)
    )
    return (
        orders.append_column("shipping_at", pc.if_else(pc.less(first, last), first, None))
        .append_column("shipped_at", last)
        .append_column("completed_at", completed)
    )


def _nations(tables: dict[str, pa.Table]) -> pa.Table:
    nations, regions = tables["nation"], tables["region"]
    row = pc.index_in(nations["n_regionkey"], value_set=regions["r_regionkey"])
    region = regions["r_name"].take(row)
    return pa.table({"key": nations["n_nationkey"], "nation": nations["n_name"], "region": region})


def _customers(raw: pa.Table, nations: pa.Table, orders: pa.Table, chance: _Chance) -> pa.Table:
    """Customers register up to a month before their first order, or on any day if they never order.

    The tenant is the market segment.
    """
    keys = raw["c_custkey"]
    firsts = orders.group_by("fk_customer").aggregate([("placed_at", "min")])
    first = firsts["placed_at_min"].take(pc.index_in(keys, value_set=firsts["fk_customer"]))
    registered = pc.coalesce(
        pc.subtract(first, chance.between(keys, 6, HOUR, 30 * DAY)),
        chance.between(keys, 7, OPENED, NOW),
    )
    nation_row = pc.index_in(raw["c_nationkey"], value_set=nations["key"])
    return pa.table(
        {
            "pk_customer": keys,
            "tenant_id": pc.utf8_lower(raw["c_mktsegment"]),
            "fk_nation": raw["c_nationkey"],
            "name": raw["c_name"],
            "address": raw["c_address"],
            "phone": raw["c_phone"],
            "account_balance": raw["c_acctbal"],
            "market_segment": raw["c_mktsegment"],
            "registered_at": registered,
            "nation": nations["nation"].take(nation_row),
            "region": nations["region"].take(nation_row),
            "comment": raw["c_comment"],
        }
    )
