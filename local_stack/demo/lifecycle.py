# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The lifecycle of every entity of the shop: an index of all status changes, in order of time.

Customer   PROSPECT on registering, ACTIVE on ordering, DORMANT 180 days after the last order
Order      PLACED, PAID, SHIPPING with the first line of several, SHIPPED with the last, COMPLETED
LineItem   ORDERED, SHIPPED, RECEIVED, and RETURNED where TPC-H's return flag is R
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from local_stack.demo.hashing import Column
from local_stack.demo.shop import DAY, NOW, Shop

STEPS: dict[str, tuple[str, ...]] = {
    "Customer": ("PROSPECT", "ACTIVE", "DORMANT"),
    "Order": ("PLACED", "PAID", "SHIPPING", "SHIPPED", "COMPLETED"),
    "LineItem": ("ORDERED", "SHIPPED", "RECEIVED", "RETURNED"),
}
"""The statuses of each entity. The first is an insert, the others are updates."""

KINDS = tuple(STEPS)
"""The entities, by their number in the index. At the same time, lower numbers come first."""

DORMANT_AFTER = 180 * DAY
MILLISECOND = 1000

INDEX = pa.schema(
    [
        ("at", pa.int64()),
        ("kind", pa.int8()),
        ("row", pa.int32()),
        ("step", pa.int8()),
        ("before", pa.int8()),
        ("cause", pa.int64()),
    ]
)
"""The time in microseconds, the entity and its row in the shop's table, its new and its old status
(null for an insert), and the order that caused the step if the step can happen more than once."""


def lifecycles(shop: Shop) -> pa.Table:
    """All steps in order of time. The steps of one entity keep their order."""
    parts = [*_steps_of_customers(shop), *_steps_of_orders(shop), *_steps_of_lines(shop)]
    index = pa.concat_tables(parts).combine_chunks()
    order = [(name, "ascending") for name in ("at", "kind", "row", "step")]
    return index.take(pc.sort_indices(index, sort_keys=order)).combine_chunks()


def statuses(index: pa.Table, kind: str, rows: int, at: int = NOW) -> pa.Array:
    """The status of each of an entity's `rows` just before a time. Before its insert, the first."""
    past = index.slice(0, pc.sum(pc.less(index["at"], at)).as_py())
    of_kind = past.filter(pc.equal(past["kind"], KINDS.index(kind)))
    latest = of_kind.group_by("row", use_threads=False).aggregate([("step", "last")])
    place = pc.index_in(pa.array(range(rows), pa.int32()), value_set=latest["row"])
    step = pc.fill_null(latest["step_last"].take(place), pa.scalar(0, pa.int8()))
    return pa.array(STEPS[kind]).take(step.combine_chunks())


def _steps_of_customers(shop: Shop) -> Iterable[pa.Table]:
    rows = pa.array(range(shop.customers.num_rows), pa.int32())
    yield _steps("Customer", "PROSPECT", shop.customers["registered_at"], rows, None)

    orders = shop.orders.select(["customer_row", "placed_at", "pk_order"]).sort_by(
        [("customer_row", "ascending"), ("placed_at", "ascending"), ("pk_order", "ascending")]
    )
    customer, placed, cause = (column.combine_chunks() for column in orders.columns)
    first = pc.fill_null(pc.not_equal(customer, _shifted(customer, 1)), True)
    last = pc.fill_null(pc.not_equal(customer, _shifted(customer, -1)), True)
    since = pc.subtract(placed, _shifted(placed, 1))
    until = pc.subtract(_shifted(placed, -1), placed)
    woken = pc.or_(first, pc.fill_null(pc.greater(since, DORMANT_AFTER), True))
    sleeps = pc.or_(last, pc.fill_null(pc.greater(until, DORMANT_AFTER), True))

    before = pc.if_else(first, pa.scalar(0, pa.int8()), pa.scalar(2, pa.int8()))
    # After the order and its lines, at most seven.
    active = pc.add(placed, 20 * MILLISECOND)
    yield _steps("Customer", "ACTIVE", active, customer, before, cause).filter(woken)
    dormant = pc.add(placed, DORMANT_AFTER)
    yield _steps("Customer", "DORMANT", dormant, customer, 1, cause).filter(sleeps)


def _steps_of_orders(shop: Shop) -> Iterable[pa.Table]:
    orders = shop.orders
    rows = pa.array(range(orders.num_rows), pa.int32())
    yield _steps("Order", "PLACED", orders["placed_at"], rows, None)
    yield _steps("Order", "PAID", orders["paid_at"], rows, 0)
    several = pc.is_valid(orders["shipping_at"])
    # An order's step follows the step of the line that caused it.
    shipping = pc.add(orders["shipping_at"], MILLISECOND)
    yield _steps("Order", "SHIPPING", shipping, rows, 1).filter(several)
    before = pc.if_else(several, pa.scalar(2, pa.int8()), pa.scalar(1, pa.int8()))
    shipped = pc.add(orders["shipped_at"], MILLISECOND)
    yield _steps("Order", "SHIPPED", shipped, rows, before)
    yield _steps("Order", "COMPLETED", orders["completed_at"], rows, 3)


def _steps_of_lines(shop: Shop) -> Iterable[pa.Table]:
    lines = shop.lines
    rows = pa.array(range(lines.num_rows), pa.int32())
    yield _steps("LineItem", "ORDERED", lines["ordered_at"], rows, None)
    yield _steps("LineItem", "SHIPPED", lines["shipped_at"], rows, 0)
    yield _steps("LineItem", "RECEIVED", lines["received_at"], rows, 1)
    returned = _steps("LineItem", "RETURNED", lines["returned_at"], rows, 2)
    yield returned.filter(pc.is_valid(lines["returned_at"]))


def _steps(
    kind: str,
    status: str,
    at: Column,
    rows: pa.Array,
    before: Column | int | None,
    cause: pa.Array | None = None,
) -> pa.Table:
    count = len(rows)
    if before is None or isinstance(before, int):
        before = pa.repeat(pa.scalar(before, pa.int8()), count)
    columns = [
        at,
        pa.repeat(pa.scalar(KINDS.index(kind), pa.int8()), count),
        rows,
        pa.repeat(pa.scalar(STEPS[kind].index(status), pa.int8()), count),
        before,
        pa.repeat(pa.scalar(0, pa.int64()), count) if cause is None else cause,
    ]
    return pa.table(columns, schema=INDEX)


def _shifted(values: pa.Array, by: int) -> pa.Array:
    """The value of the previous row (1) or the next row (-1), or null."""
    gap = pa.nulls(1, values.type)
    parts = [gap, values.slice(0, len(values) - 1)] if by > 0 else [values.slice(1), gap]
    return pa.concat_arrays(parts)
