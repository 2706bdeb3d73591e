# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute defines its functions at import, where type checkers do not see them)
"""Makes a page of a relay query from the rows that were read for it."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from flight_service.graphql.arrow.result_types import (
    ConstantType,
    ListType,
    ObjectType,
    arrow_field,
    arrow_schema,
    arrow_type,
)
from flight_service.graphql.planning.relay_page import Page, PageField

Facts = Mapping[str, bool | int | str | None]
"""The values of a page beside its rows, by the names of their fields in the schema."""


def page_of(
    page: Page, rows: pa.Table, cursors: pa.ChunkedArray, total: int | None = None
) -> pa.RecordBatch:
    """The connection, as a batch of one row. `rows` have a column for each selected `edges`."""
    count = len(cursors)
    has_more = page.size is not None and count > page.size
    if has_more:
        count = page.size or 0
        rows, cursors = rows.slice(0, count), cursors.slice(0, count)
    if page.backward:
        reverse = pa.array(range(count - 1, -1, -1), pa.int64())
        rows, cursors = rows.take(reverse), cursors.take(reverse)
    facts: Facts = {
        "hasNextPage": page.after_cursor if page.backward else has_more,
        "hasPreviousPage": has_more if page.backward else page.after_cursor,
        "startCursor": cursors[0].as_py() if count else None,
        "endCursor": cursors[count - 1].as_py() if count else None,
        "totalCount": total,
    }
    arrays = [
        _edges(one.field.type, rows.column(one.field.key), count)
        if isinstance(one.field.type, ListType)
        else _value(one, facts)
        for one in page.fields
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(one.field for one in page.fields))


def _edges(of: ListType, edges: pa.ChunkedArray, count: int) -> pa.Array:
    values: Any = edges.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], edges.type)
    offsets = pa.array([0, count], pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=arrow_type(of))


def _value(one: PageField, facts: Facts) -> pa.Array:
    match one.field.type:
        case ConstantType(value):
            return pa.array([value], pa.string())
        case ObjectType(fields):
            if not fields:
                return pa.array([{}], pa.struct([]))
            return pa.StructArray.from_arrays(
                [_value(inner, facts) for inner in one.fields],
                fields=[arrow_field(inner) for inner in fields],
            )
    return pa.array([facts[one.name]], arrow_type(one.field.type))
