# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Entities at a point in time, as the JSON documents that the demo's views show.

The documents are built by column. TPC-H's texts contain no quotes, backslashes or control
characters, so nothing is escaped.
"""

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.schema import TIMESTAMP
from local_stack.demo.hashing import Column, uuid_texts
from local_stack.demo.shop import Shop, entity_words

Fields = Mapping[str, Column]


def documents(
    kind: str, shop: Shop, rows: pa.Array, statuses: pa.Array, at: pa.Array, later: int
) -> pa.Array:
    """One document per entity.

    `rows` are the entities' rows in the shop's table, and `statuses` their statuses at the times
    `at` (in microseconds). What had not happened by then is null. `later` is added to every key.
    """
    return _json_object(_BUILDERS[kind](shop, rows, statuses, at, later))


def _customer(shop: Shop, rows: pa.Array, statuses: pa.Array, at: pa.Array, later: int) -> Fields:
    row = shop.customers.take(rows)
    region = _json_object({"name": _quoted(row["region"])})
    return {
        **_identity("Customer", shop, row["pk_customer"], later),
        "customer_key": _number(pc.add(row["pk_customer"], later)),
        "tenant_id": _quoted(row["tenant_id"]),
        "name": _quoted(row["name"]),
        "status": _quoted(statuses),
        "market_segment": _quoted(row["market_segment"]),
        "account_balance": _number(row["account_balance"]),
        "address": _quoted(row["address"]),
        "phone": _quoted(row["phone"]),
        "nation": _json_object({"name": _quoted(row["nation"]), "region": region}),
        "registered_at": _moment(row["registered_at"], at),
        "comment": _quoted(row["comment"]),
    }


def _order(shop: Shop, rows: pa.Array, statuses: pa.Array, at: pa.Array, later: int) -> Fields:
    row = shop.orders.take(rows)
    customer = shop.customers.select(["name", "market_segment"]).take(row["customer_row"])
    return {
        **_identity("Order", shop, row["pk_order"], later),
        "order_key": _number(pc.add(row["pk_order"], later)),
        "tenant_id": _quoted(row["tenant_id"]),
        "status": _quoted(statuses),
        "total_price": _number(row["total_price"]),
        "order_date": _date(row["order_date"]),
        "placed_at": _moment(row["placed_at"], at),
        "paid_at": _moment(row["paid_at"], at),
        "completed_at": _moment(row["completed_at"], at),
        "priority": _quoted(row["priority"]),
        "clerk": _quoted(row["clerk"]),
        "ship_priority": _number(row["ship_priority"]),
        "customer": _json_object(
            {
                **_identity("Customer", shop, row["fk_customer"], later),
                "name": _quoted(customer["name"]),
                "market_segment": _quoted(customer["market_segment"]),
            }
        ),
        "comment": _quoted(row["comment"]),
    }


def _line_item(shop: Shop, rows: pa.Array, statuses: pa.Array, at: pa.Array, later: int) -> Fields:
    row = shop.lines.take(rows)
    return {
        **_identity("LineItem", shop, row["pk_line_item"], later),
        "order_key": _number(pc.add(row["fk_order"], later)),
        "line_number": _number(row["line_number"]),
        "tenant_id": _quoted(row["tenant_id"]),
        "part_key": _number(row["fk_part"]),
        "supplier_key": _number(row["fk_supplier"]),
        "status": _quoted(statuses),
        "quantity": _number(row["quantity"]),
        "extended_price": _number(row["extended_price"]),
        "discount": _number(row["discount"]),
        "tax": _number(row["tax"]),
        "ship_date": _date(row["ship_date"]),
        "commit_date": _date(row["commit_date"]),
        "receipt_date": _date(row["receipt_date"]),
        "shipped_at": _moment(row["shipped_at"], at),
        "received_at": _moment(row["received_at"], at),
        "returned_at": _moment(row["returned_at"], at),
        "ship_instructions": _quoted(row["ship_instructions"]),
        "ship_mode": _quoted(row["ship_mode"]),
        "comment": _quoted(row["comment"]),
    }


_BUILDERS: dict[str, Callable[[Shop, pa.Array, pa.Array, pa.Array, int], Fields]] = {
    "Customer": _customer,
    "Order": _order,
    "LineItem": _line_item,
}


def _json_object(fields: Fields) -> Column:
    parts: list[Column | str] = []
    for number, (name, values) in enumerate(fields.items()):
        parts += [f'{"," if number else "{"}"{name}":', values]
    return pc.binary_join_element_wise(*parts, "}", "")


def _identity(kind: str, shop: Shop, keys: Column, later: int) -> Fields:
    return {"id": _quoted(uuid_texts(entity_words(kind, pc.add(keys, later), shop.seed)))}


def _quoted(texts: Column) -> Column:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _number(numbers: Column) -> Column:
    return numbers.cast(pa.utf8())


def _date(days: Column) -> Column:
    return _quoted(days.cast(pa.utf8()))


def _moment(microseconds: Column, at: pa.Array) -> Column:
    """The time, or null if it is after `at`."""
    come = pc.if_else(pc.less_equal(microseconds, at), microseconds, None)
    text = pc.strftime(come.cast(TIMESTAMP), format="%Y-%m-%dT%H:%M:%SZ")
    return pc.fill_null(_quoted(text), "null")
