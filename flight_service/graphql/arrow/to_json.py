# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute defines its functions at import, where type checkers do not see them)
"""An Arrow result as JSON, by whole columns: no row and no value becomes a Python object."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.arrow.result_types import (
    ConstantType,
    ListType,
    ObjectType,
    ResultField,
    ResultType,
    ScalarType,
)
from flight_service.graphql.errors import BadDocument
from fraiseql_assets.json_escaping import escaped


def rows_text(
    batch: pa.RecordBatch, fields: Sequence[ResultField], separator: str = ","
) -> pa.Buffer:
    """The rows as JSON objects with separators between them; empty without rows.

    Raises:
        BadDocument: JSON has no such number, for example NaN.
    """
    texts = _object([batch.column(n) for n in range(batch.num_columns)], fields, batch.num_rows)
    if separator == "\n" and any(_holds_json(one.type) for one in fields):
        # JSON that is stored as text may have line breaks between its values.
        texts = pc.replace_substring(texts, "\n", " ")
    return _joined(texts, separator).as_buffer()


def column_text(values: pa.Array, field: ResultField) -> pa.Array:
    """Each value as JSON text; nulls become `null`.

    Raises:
        BadDocument: JSON has no such number, for example NaN.
    """
    return _text(field.type, values, field.key)


def object_text(batch: pa.RecordBatch, fields: Sequence[ResultField]) -> bytes:
    """The only row of a batch as a JSON object."""
    return rows_text(batch, fields).to_pybytes()


def _holds_json(of: ResultType) -> bool:
    match of:
        case ScalarType(json=json):
            return json
        case ObjectType(fields):
            return any(_holds_json(one.type) for one in fields)
        case ListType(item):
            return _holds_json(item.type)
        case ConstantType():
            return False


def _joined(texts: pa.Array, separator: str) -> pa.Scalar:
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return pc.binary_join(whole, separator)[0]


def _object(columns: Sequence[pa.Array], fields: Sequence[ResultField], length: int) -> pa.Array:
    shown = sorted(
        (
            (one.position, one, column)
            for one, column in zip(fields, columns, strict=True)
            if one.position is not None
        ),
        key=lambda found: found[0],
    )
    if not shown:
        return pa.repeat(pa.scalar("{}"), length)
    pieces: list[pa.Array | pa.Scalar] = []
    if all(one.types is None for _, one, _ in shown):
        for number, (_, one, column) in enumerate(shown):
            pieces.append(pa.scalar(f"{',' if number else '{'}{_quote(one.key)}:"))
            pieces.append(_text(one.type, column, one.key))
        return pc.binary_join_element_wise(*pieces, pa.scalar("}"), "")
    # An object of an interface or union has only the keys of its own type.
    typename = columns[0]
    for _, one, column in shown:
        text = _text(one.type, column, one.key)
        piece = pc.binary_join_element_wise(pa.scalar(f"{_quote(one.key)}:"), text, ",", "")
        if one.types is not None:
            has = pc.is_in(typename, pa.array(sorted(one.types)))
            piece = pc.if_else(has, piece, "")
        pieces.append(piece)
    inner = pc.binary_join_element_wise(*pieces, "")
    return pc.binary_join_element_wise("{", pc.utf8_rtrim(inner, ","), "}", "")


def _text(of: ResultType, values: pa.Array, key: str) -> pa.Array:
    match of:
        case ConstantType(value, json=True):
            return pa.repeat(pa.scalar(value), len(values))
        case ConstantType(value):
            return pa.repeat(pa.scalar(_quote(value)), len(values))
        case ScalarType(json=True):
            return pc.fill_null(values, "null")
        case ScalarType():
            return pc.fill_null(_scalar(values, key), "null")
        case ObjectType(fields):
            columns = [values.field(n) for n in range(len(fields))]
            return _null_where_absent(_object(columns, fields, len(values)), values)
        case ListType(item):
            texts = _text(item.type, values.flatten(), key)
            lengths = pc.fill_null(pc.list_value_length(values), 0)
            ends = pc.cumulative_sum(lengths)
            offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
            joined = pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ",")
            text = pc.binary_join_element_wise("[", joined, "]", "")
            return _null_where_absent(text, values)


def _null_where_absent(text: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(values), text, "null") if values.null_count else text


def _scalar(values: pa.Array, key: str) -> pa.Array:
    kind = values.type
    if pa.types.is_string(kind):
        return _quoted(escaped(values))
    if pa.types.is_floating(kind):
        finite = pc.is_finite(values)
        if (index := pc.index(finite, False).as_py()) >= 0:
            raise BadDocument(f"{key} is {values[index].as_py()}, which is no number in JSON.")
        return pc.cast(values, pa.string())
    if pa.types.is_decimal(kind):
        return _decimal(pc.cast(values, pa.string()), kind.scale)
    if pa.types.is_timestamp(kind):
        return _quoted(pc.replace_substring(pc.cast(values, pa.string()), " ", "T"))
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return _quoted(pc.cast(values, pa.string()))
    return pc.cast(values, pa.string())


def _decimal(texts: pa.Array, scale: int) -> pa.Array:
    """The digits without the trailing zeros of the column's scale."""
    if scale <= 0:
        return texts
    plain = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    # Arrow writes the smallest numbers, and zero, with an exponent.
    small = pc.match_substring(texts, "E")
    if not pc.any(small).as_py():
        return plain
    zero = pc.match_substring_regex(texts, r"^-?0E")
    return pc.if_else(zero, "0", pc.if_else(small, texts, plain))


def _quoted(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _quote(text: str) -> str:
    """A GraphQL name in quotes; it has no character to escape."""
    return f'"{text}"'
