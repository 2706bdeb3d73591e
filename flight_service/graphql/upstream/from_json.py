"""Arrow out of a GraphQL response's JSON, by the shapes of the plan: exact, and typed as announced.

The JSON is decoded straight into objects made for the selection, with Python's exact types, and
these go into whole columns. A value that is not of the schema's type is refused with its path.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.graphql.arrow.shapes import (
    Constant,
    Leaf,
    ListOf,
    Member,
    Shape,
    Struct,
    arrow_field,
    arrow_type,
)
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.planning.plan import RootPlan

PLACE = re.compile(r"^\$\[(?P<row>\d+)\]\.?(?P<path>.*)$")


def list_batches(root: RootPlan, value: msgspec.Raw, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a list, in batches; each is decoded when it is asked for.

    Raises:
        BadDocument: a value is not what the schema says.
    """
    rows = _rows_of(root, value)
    for first in range(0, len(rows), batch_rows):
        texts = rows[first : first + batch_rows]
        yield _batch(root, _decoded(root, texts, first))


def single_batch(root: RootPlan, value: msgspec.Raw) -> pa.RecordBatch:
    """The one row of an object or page; no row where it is null.

    Raises:
        BadDocument: as of a list; or it is null and must not be.
    """
    if _is_null(value):
        if not root.nullable:
            raise BadDocument(
                f"{root.key} is null, and the schema says it never is.", path=(root.key,)
            )
        return _batch(root, [])
    if root.form == "count":
        value = msgspec.Raw(msgspec.json.encode({root.key: value}))
    return _batch(root, _decoded(root, [value], 0))


def as_column(root: RootPlan, value: msgspec.Raw) -> pa.Array:
    """A root's whole result as one value, beside other roots'."""
    kind = arrow_type(Struct(root.members))
    if root.form == "list":
        with _at(root):
            rows = _objects(Struct(root.members), _decoded(root, _rows_of(root, value), 0))
        offsets = pa.array([0, len(rows)], pa.int32())
        return pa.ListArray.from_arrays(offsets, rows, type=arrow_type(root.member.shape))
    batch = single_batch(root, value)
    if not batch.num_rows:
        return pa.nulls(1, kind)
    if root.form == "count":
        return batch.column(0)
    return pa.StructArray.from_arrays(batch.columns, fields=list(root.schema))


def _rows_of(root: RootPlan, value: msgspec.Raw) -> list[msgspec.Raw]:
    if _is_null(value) and root.nullable:
        return []
    try:
        return msgspec.json.decode(value, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise BadDocument(f"{root.key} is no list in the answer.", path=(root.key,)) from error


def _batch(root: RootPlan, rows: Sequence[Any]) -> pa.RecordBatch:
    with _at(root):
        return pa.RecordBatch.from_arrays(_columns(root.members, rows), schema=root.schema)


@contextmanager
def _at(root: RootPlan) -> Iterator[None]:
    try:
        yield
    except _Unfit as unfit:
        raise BadDocument(f"{root.key}, {unfit}", path=(root.key,)) from unfit


def _decoded(root: RootPlan, texts: Sequence[msgspec.Raw], first: int) -> list[Any]:
    joined = b"[" + b",".join(map(bytes, texts)) + b"]"
    try:
        return msgspec.json.decode(joined, type=list[_object_type(root.members, str)])
    except msgspec.ValidationError:
        # A scalar that the schema does not know is text, whatever JSON it is.
        kind = list[_object_type(root.members, msgspec.Raw)]
    try:
        return msgspec.json.decode(joined, type=kind)
    except msgspec.ValidationError as error:
        raise _misfit(root, str(error), first) from error


def _misfit(root: RootPlan, told: str, first: int) -> BadDocument:
    what, _, where = told.partition(" - at `")
    found = PLACE.match(where.rstrip("`"))
    row = first + int(found["row"]) if found else first
    path = found["path"] if found else ""
    place = f"{root.key}, row {row}" + (f", {path}" if path else "")
    parts = [part for part in re.split(r"[.\[\]]+", path) if part]
    return BadDocument(
        f"{place}: the FraiseQL server's answer does not fit the schema: "
        f"{what[0].lower()}{what[1:]}.",
        path=(root.key, row, *parts),
    )


def _named(members: Sequence[Member]) -> list[tuple[str, Member]]:
    """The members with the attributes that hold them; none of what is constant."""
    return [
        ("" if isinstance(one.shape, Constant) else f"f{number}", one)
        for number, one in enumerate(members)
    ]


def _object_type(members: Sequence[Member], texts: type) -> Any:
    """The type of a JSON object with these members; its texts are read as `texts`. What may be null
    may be absent too, as members of an interface or union are that are another type's."""
    fields: list[Any] = []
    names: dict[str, str] = {}
    for name, one in _named(members):
        if not name:
            continue
        kind = _python_type(one.shape, texts)
        names[name] = one.key
        if not one.nullable:
            fields.append((name, kind))
        else:
            fields.append((name, kind if kind is msgspec.Raw else kind | None, None))
    return msgspec.defstruct("Row", fields, rename=names, kw_only=True, gc=False)


def _python_type(shape: Shape, texts: type) -> Any:
    match shape:
        case Leaf(json=True):
            return msgspec.Raw
        case Leaf(type=kind):
            return _scalar_type(kind, texts)
        case Struct(members):
            return _object_type(members, texts)
        case ListOf(item=item):
            kind = _python_type(item.shape, texts)
            return list[kind | None if item.nullable and kind is not msgspec.Raw else kind]
    raise AssertionError("a constant has no JSON")


def _scalar_type(kind: pa.DataType, texts: type) -> type:
    if pa.types.is_integer(kind):
        return int
    if pa.types.is_floating(kind):
        return float
    if pa.types.is_boolean(kind):
        return bool
    if pa.types.is_decimal(kind):
        return Decimal
    if pa.types.is_timestamp(kind):
        return datetime
    if pa.types.is_date(kind):
        return date
    return time if pa.types.is_time(kind) else texts


class _Unfit(Exception):
    """A value that does not fit its Arrow type."""


def _array(shape: Shape, values: Sequence[Any], key: str) -> pa.Array:
    match shape:
        case Constant(value):
            return pa.repeat(pa.scalar(value), len(values))
        case Leaf():
            return _leaf(shape, values, key)
        case Struct():
            return _objects(shape, values)
        case ListOf(item=item):
            lengths = [0 if one is None else len(one) for one in values]
            offsets = [0]
            for length in lengths:
                offsets.append(offsets[-1] + length)
            flat = [element for one in values if one is not None for element in one]
            mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
            return pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()),
                _array(item.shape, flat, key),
                type=arrow_type(shape),
                mask=mask,
            )


def _columns(members: Sequence[Member], values: Sequence[Any]) -> list[pa.Array]:
    """The members of objects, some of which may be absent."""
    columns: list[pa.Array] = []
    for name, one in _named(members):
        held = (
            [None if value is None else getattr(value, name) for value in values]
            if name
            else values
        )
        column = _array(one.shape, held, one.key)
        if not one.nullable and column.null_count > sum(value is None for value in values):
            raise _Unfit(f"{one.key}: it is null, and the schema says it never is.")
        columns.append(column)
    return columns


def _objects(shape: Struct, values: Sequence[Any]) -> pa.Array:
    arrays = _columns(shape.members, values)
    if not arrays:
        return pa.array([None if value is None else {} for value in values], pa.struct([]))
    absent = [value is None for value in values]
    return pa.StructArray.from_arrays(
        arrays,
        fields=[arrow_field(one) for one in shape.members],
        mask=pa.array(absent, pa.bool_()) if any(absent) else None,
    )


def _leaf(leaf: Leaf, values: Sequence[Any], key: str) -> pa.Array:
    if leaf.json:
        values = [None if one is None or _is_null(one) else _text(one) for one in values]
    elif pa.types.is_string(leaf.type):
        values = [_scalar_text(one, key) if isinstance(one, msgspec.Raw) else one for one in values]
    try:
        return pa.array(values, leaf.type)
    except (pa.ArrowException, OverflowError):
        for value in values:
            _fit(value, leaf.type, key)
        raise


def _fit(value: Any, kind: pa.DataType, key: str) -> None:
    try:
        pa.array([value], kind)
    except (pa.ArrowException, OverflowError) as error:
        raise _Unfit(f"{key}: {value} does not fit {kind}.") from error


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(value) == b"null"


def _text(value: msgspec.Raw) -> str:
    return bytes(value).decode()


def _scalar_text(value: msgspec.Raw, key: str) -> str | None:
    """A scalar's text, whatever scalar it is."""
    text = _text(value)
    if text == "null":
        return None
    if text[0] in "{[":
        raise _Unfit(f"{key}: {text[:60]} is no scalar.")
    return msgspec.json.decode(text) if text[0] == '"' else text
