# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""A page of a relay query, made of the rows that were read for it."""

import pyarrow as pa

from flight_service.graphql.arrow.shapes import (
    Constant,
    Leaf,
    ListOf,
    Member,
    Shape,
    Struct,
    arrow_field,
    arrow_schema,
    arrow_type,
)
from flight_service.graphql.planning.plan import Page

Facts = tuple[bool | int | str | None, ...]
"""What is known of a page beside its rows, in the order of `planning.connection.FACTS`."""


def page_of(
    page: Page, rows: pa.Table, cursors: pa.ChunkedArray, total: int | None = None
) -> pa.RecordBatch:
    """The connection, as the one row of a batch. `rows` have a column for each `edges`."""
    count = len(cursors)
    more = page.size is not None and count > page.size
    if more:
        count = page.size or 0
        rows, cursors = rows.slice(0, count), cursors.slice(0, count)
    if page.backward:
        back = pa.array(range(count - 1, -1, -1), pa.int64())
        rows, cursors = rows.take(back), cursors.take(back)
    facts = (
        page.continued if page.backward else more,
        more if page.backward else page.continued,
        cursors[0].as_py() if count else None,
        cursors[count - 1].as_py() if count else None,
        total,
    )
    arrays: list[pa.Array] = []
    for member in page.members:
        match member.shape:
            case ListOf() as shape:
                arrays.append(_list(shape, rows.column(member.key), count))
            case shape:
                arrays.append(_fact(shape, facts))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(page.members))


def _list(shape: ListOf, items: pa.ChunkedArray, count: int) -> pa.Array:
    values = items.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], items.type)
    offsets = pa.array([0, count], pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=arrow_type(shape))


def _fact(shape: Shape, facts: Facts) -> pa.Array:
    match shape:
        case Constant(value):
            return pa.array([value], pa.string())
        case Leaf(column, kind):
            return pa.array([facts[column]], kind)
        case Struct(members):
            return _struct(members, facts)
    raise AssertionError("a page has no other facts")


def _struct(members: tuple[Member, ...], facts: Facts) -> pa.Array:
    if not members:
        return pa.array([{}], pa.struct([]))
    return pa.StructArray.from_arrays(
        [_fact(one.shape, facts) for one in members], fields=[arrow_field(one) for one in members]
    )
