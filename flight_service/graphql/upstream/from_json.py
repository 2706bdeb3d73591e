"""Converts the JSON of a GraphQL response to Arrow, by the logical type of the result.

The JSON is decoded to objects of classes made for the selection, with Python's exact types, and
these become whole columns. A value that is not of the schema's type is an error with its path.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.graphql.arrow.result_types import (
    ConstantType,
    ListType,
    ObjectType,
    ResultField,
    ResultType,
    ScalarType,
    arrow_field,
    arrow_type,
)
from flight_service.graphql.errors import BadDocument
from flight_service.graphql.planning.result import RootResult

LOCATION = re.compile(r"^\$\[(?P<row>\d+)\]\.?(?P<path>.*)$")
"""Where msgspec says that a value does not fit."""


def list_batches(root: RootResult, value: msgspec.Raw, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a list, in batches. Each batch is decoded when it is requested.

    Raises:
        BadDocument: a value is not what the schema says.
    """
    rows = _rows_of(root, value)
    for first in range(0, len(rows), batch_rows):
        texts = rows[first : first + batch_rows]
        yield _batch(root, _decoded(root, texts, first))


def single_batch(root: RootResult, value: msgspec.Raw) -> pa.RecordBatch:
    """The row of an object, page or count; no row if it is null.

    Raises:
        BadDocument: a value is not what the schema says.
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


def as_column(root: RootResult, value: msgspec.Raw) -> pa.Array:
    """A root's whole result as one value, in a column beside those of other roots."""
    row = ObjectType(root.fields)
    if root.form == "list":
        with _error_of(root):
            rows = _objects(row, _decoded(root, _rows_of(root, value), 0))
        offsets = pa.array([0, len(rows)], pa.int32())
        return pa.ListArray.from_arrays(offsets, rows, type=arrow_type(root.field.type))
    batch = single_batch(root, value)
    if not batch.num_rows:
        return pa.nulls(1, arrow_type(root.field.type))
    if root.form == "count":
        return batch.column(0)
    return pa.StructArray.from_arrays(batch.columns, fields=list(root.schema))


def _rows_of(root: RootResult, value: msgspec.Raw) -> list[msgspec.Raw]:
    if _is_null(value) and root.nullable:
        return []
    try:
        return msgspec.json.decode(value, type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise BadDocument(f"{root.key} is no list in the answer.", path=(root.key,)) from error


def _batch(root: RootResult, rows: Sequence[Any]) -> pa.RecordBatch:
    with _error_of(root):
        return pa.RecordBatch.from_arrays(_columns(root.fields, rows), schema=root.schema)


@contextmanager
def _error_of(root: RootResult) -> Iterator[None]:
    try:
        yield
    except _InvalidValue as invalid:
        raise BadDocument(f"{root.key}, {invalid}", path=(root.key,)) from invalid


def _decoded(root: RootResult, texts: Sequence[msgspec.Raw], first: int) -> list[Any]:
    joined = b"[" + b",".join(map(bytes, texts)) + b"]"
    try:
        return msgspec.json.decode(joined, type=list[_object_class(root.fields, str)])
    except msgspec.ValidationError:
        # A custom scalar is a string here, whatever JSON value the server sends for it.
        row_class = list[_object_class(root.fields, msgspec.Raw)]
    try:
        return msgspec.json.decode(joined, type=row_class)
    except msgspec.ValidationError as error:
        raise _bad_document(root, str(error), first) from error


def _bad_document(root: RootResult, message: str, first: int) -> BadDocument:
    reason, _, where = message.partition(" - at `")
    found = LOCATION.match(where.rstrip("`"))
    row = first + int(found["row"]) if found else first
    path = found["path"] if found else ""
    location = f"{root.key}, row {row}" + (f", {path}" if path else "")
    keys = [key for key in re.split(r"[.\[\]]+", path) if key]
    return BadDocument(
        f"{location}: the FraiseQL server's answer does not fit the schema: "
        f"{reason[0].lower()}{reason[1:]}.",
        path=(root.key, row, *keys),
    )


def _attributes(fields: Sequence[ResultField]) -> list[tuple[str, ResultField]]:
    """The fields with the attributes that hold their values; a constant has none."""
    return [
        ("" if isinstance(one.type, ConstantType) else f"f{number}", one)
        for number, one in enumerate(fields)
    ]


def _object_class(fields: Sequence[ResultField], strings: type) -> Any:
    """The class that a JSON object with these fields is decoded to, its strings as `strings`. What
    may be null may also be missing: an object of an interface or union lacks the fields of other
    types."""
    attributes: list[Any] = []
    names: dict[str, str] = {}
    for name, one in _attributes(fields):
        if not name:
            continue
        kind = _python_type(one.type, strings)
        names[name] = one.key
        if not one.nullable:
            attributes.append((name, kind))
        else:
            attributes.append((name, kind if kind is msgspec.Raw else kind | None, None))
    return msgspec.defstruct("Row", attributes, rename=names, kw_only=True, gc=False)


def _python_type(of: ResultType, strings: type) -> Any:
    match of:
        case ScalarType(json=True):
            return msgspec.Raw
        case ScalarType(arrow):
            return _scalar_type(arrow, strings)
        case ObjectType(fields):
            return _object_class(fields, strings)
        case ListType(item):
            kind = _python_type(item.type, strings)
            return list[kind | None if item.nullable and kind is not msgspec.Raw else kind]
    raise AssertionError("a constant is not decoded")


def _scalar_type(arrow: pa.DataType, strings: type) -> type:
    if pa.types.is_integer(arrow):
        return int
    if pa.types.is_floating(arrow):
        return float
    if pa.types.is_boolean(arrow):
        return bool
    if pa.types.is_decimal(arrow):
        return Decimal
    if pa.types.is_timestamp(arrow):
        return datetime
    if pa.types.is_date(arrow):
        return date
    return time if pa.types.is_time(arrow) else strings


class _InvalidValue(Exception):
    """A value that does not fit its Arrow type."""


def _array(of: ResultType, values: Sequence[Any], key: str) -> pa.Array:
    match of:
        case ConstantType(value):
            return pa.repeat(pa.scalar(value), len(values))
        case ScalarType():
            return _scalar(of, values, key)
        case ObjectType():
            return _objects(of, values)
        case ListType(item):
            lengths = [0 if one is None else len(one) for one in values]
            offsets = [0]
            for length in lengths:
                offsets.append(offsets[-1] + length)
            flat = [element for one in values if one is not None for element in one]
            mask = pa.array([one is None for one in values], pa.bool_()) if None in values else None
            return pa.ListArray.from_arrays(
                pa.array(offsets, pa.int32()),
                _array(item.type, flat, key),
                type=arrow_type(of),
                mask=mask,
            )


def _columns(fields: Sequence[ResultField], objects: Sequence[Any]) -> list[pa.Array]:
    """A column for each field of objects, some of which may be None."""
    columns: list[pa.Array] = []
    for name, one in _attributes(fields):
        values = (
            [None if each is None else getattr(each, name) for each in objects] if name else objects
        )
        column = _array(one.type, values, one.key)
        if not one.nullable and column.null_count > sum(each is None for each in objects):
            raise _InvalidValue(f"{one.key}: it is null, and the schema says it never is.")
        columns.append(column)
    return columns


def _objects(of: ObjectType, objects: Sequence[Any]) -> pa.Array:
    arrays = _columns(of.fields, objects)
    if not arrays:
        return pa.array([None if each is None else {} for each in objects], pa.struct([]))
    absent = [each is None for each in objects]
    return pa.StructArray.from_arrays(
        arrays,
        fields=[arrow_field(one) for one in of.fields],
        mask=pa.array(absent, pa.bool_()) if any(absent) else None,
    )


def _scalar(of: ScalarType, values: Sequence[Any], key: str) -> pa.Array:
    if of.json:
        values = [None if one is None or _is_null(one) else _text(one) for one in values]
    elif pa.types.is_string(of.arrow):
        values = [_scalar_text(one, key) if isinstance(one, msgspec.Raw) else one for one in values]
    try:
        return pa.array(values, of.arrow)
    except (pa.ArrowException, OverflowError):
        for value in values:
            _check(value, of.arrow, key)
        raise


def _check(value: Any, arrow: pa.DataType, key: str) -> None:
    try:
        pa.array([value], arrow)
    except (pa.ArrowException, OverflowError) as error:
        raise _InvalidValue(f"{key}: {value} does not fit {arrow}.") from error


def _is_null(value: msgspec.Raw) -> bool:
    return bytes(value) == b"null"


def _text(value: msgspec.Raw) -> str:
    return bytes(value).decode()


def _scalar_text(value: msgspec.Raw, key: str) -> str | None:
    """The text of a JSON scalar of any type; None for null."""
    text = _text(value)
    if text == "null":
        return None
    if text[0] in "{[":
        raise _InvalidValue(f"{key}: {text[:60]} is no scalar.")
    return msgspec.json.decode(text) if text[0] == '"' else text
