# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""JSON of an Arrow result, whole columns at a time: no row and no value is a Python object."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.arrow.shapes import Constant, Leaf, ListOf, Member, Shape, Struct
from flight_service.graphql.errors import BadDocument
from fraiseql_assets.json_escaping import escaped


def rows_text(batch: pa.RecordBatch, members: Sequence[Member]) -> pa.Buffer:
    """The rows as JSON objects with commas between; empty without rows.

    Raises:
        BadDocument: a number that JSON has not, such as NaN.
    """
    texts = _object([batch.column(n) for n in range(batch.num_columns)], members, batch.num_rows)
    return _joined(texts).as_buffer()


def column_text(values: pa.Array, member: Member) -> pa.Array:
    """The values as JSON, one text each; `null` is one too.

    Raises:
        BadDocument: a number that JSON has not, such as NaN.
    """
    return _text(member.shape, values, member.key)


def object_text(batch: pa.RecordBatch, members: Sequence[Member]) -> bytes:
    """The one row of a batch."""
    return rows_text(batch, members).to_pybytes()


def _joined(texts: pa.Array) -> pa.Scalar:
    whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    return pc.binary_join(whole, ",")[0]


def _object(columns: Sequence[pa.Array], members: Sequence[Member], length: int) -> pa.Array:
    asked = sorted(
        (
            (one.place, one, column)
            for one, column in zip(members, columns, strict=True)
            if one.place is not None
        ),
        key=lambda found: found[0],
    )
    if not asked:
        return pa.repeat(pa.scalar("{}"), length)
    pieces: list[pa.Array | pa.Scalar] = []
    if all(one.types is None for _, one, _ in asked):
        for number, (_, one, column) in enumerate(asked):
            pieces.append(pa.scalar(f"{',' if number else '{'}{_quote(one.key)}:"))
            pieces.append(_text(one.shape, column, one.key))
        return pc.binary_join_element_wise(*pieces, pa.scalar("}"), "")
    # Of an interface or union, an object has only its own type's keys.
    typename = columns[0]
    for _, one, column in asked:
        text = _text(one.shape, column, one.key)
        piece = pc.binary_join_element_wise(pa.scalar(f"{_quote(one.key)}:"), text, ",", "")
        if one.types is not None:
            has = pc.is_in(typename, pa.array(sorted(one.types)))
            piece = pc.if_else(has, piece, "")
        pieces.append(piece)
    inner = pc.binary_join_element_wise(*pieces, "")
    return pc.binary_join_element_wise("{", pc.utf8_rtrim(inner, ","), "}", "")


def _text(shape: Shape, values: pa.Array, key: str) -> pa.Array:
    match shape:
        case Constant(value, json=True):
            return pa.repeat(pa.scalar(value), len(values))
        case Constant(value):
            return pa.repeat(pa.scalar(_quote(value)), len(values))
        case Leaf(json=True):
            return pc.fill_null(values, "null")
        case Leaf():
            return pc.fill_null(_scalar(values, key), "null")
        case Struct(members):
            columns = [values.field(n) for n in range(len(members))]
            return _null_where_absent(_object(columns, members, len(values)), values)
        case ListOf(item=item):
            texts = _text(item.shape, values.flatten(), key)
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
        if (place := pc.index(finite, False).as_py()) >= 0:
            raise BadDocument(f"{key} is {values[place].as_py()}, which is no number in JSON.")
        return pc.cast(values, pa.string())
    if pa.types.is_decimal(kind):
        return _decimal(pc.cast(values, pa.string()), kind.scale)
    if pa.types.is_timestamp(kind):
        return _quoted(pc.replace_substring(pc.cast(values, pa.string()), " ", "T"))
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return _quoted(pc.cast(values, pa.string()))
    return pc.cast(values, pa.string())


def _decimal(texts: pa.Array, scale: int) -> pa.Array:
    """Digits without the zeros that only the column's scale adds."""
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
    """A GraphQL name, which has nothing to escape."""
    return f'"{text}"'
