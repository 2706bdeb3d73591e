"""Placeholders of statements, and values for them."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Binding, Parameter
from flight_service.sql.grammar import PLACEHOLDER

COMPARISONS = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Between, exp.In,
)  # fmt: skip
MOST_PARAMETERS = 1000
TYPES = {
    exp.DataType.Type.BIGINT: pa.int64(),
    exp.DataType.Type.BOOLEAN: pa.bool_(),
    exp.DataType.Type.DATE: pa.date32(),
    exp.DataType.Type.DOUBLE: pa.float64(),
    exp.DataType.Type.INT: pa.int32(),
    exp.DataType.Type.TIMESTAMP: pa.timestamp("us"),
    exp.DataType.Type.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
}


def take_parameters(tree: exp.Expr, columns: Iterable[pa.Field]) -> tuple[Parameter, ...]:
    """The placeholders of a statement, in order. They are replaced by marks in the tree.

    Raises:
        InvalidRequest: there are too many, or one statement has both `?` and `$1`.
    """
    kinds = {one.name: one.type for one in columns}
    found = [
        node
        for node in tree.find_all(exp.Column, exp.Parameter)
        if isinstance(node, exp.Parameter) or node.name.startswith(PLACEHOLDER)
    ]
    if len({type(node) for node in found}) > 1:
        raise InvalidRequest("Write all parameters as ?, or all as $1, $2 and so on.")
    if len(found) > MOST_PARAMETERS:
        raise InvalidRequest(f"A statement has at most {MOST_PARAMETERS:,} parameters.")
    token = secrets.token_hex(8)
    made: dict[int, Parameter] = {}
    for node in found:
        number = _number(node)
        mark = f"p{number}_{token}"
        known = made.get(number)
        if known is None or known.type == pa.null():
            made[number] = Parameter(f"{number}", mark, _type_at(node, kinds))
        node.replace(exp.column(exp.to_identifier(mark, quoted=True)))
    if sorted(made) != list(range(1, len(made) + 1)):
        raise InvalidRequest("The numbers of parameters begin at $1 and leave none out.")
    return tuple(
        Parameter(one.name, one.mark, pa.string() if one.type == pa.null() else one.type)
        for _, one in sorted(made.items())
    )


def parameter_schema(parameters: Sequence[Parameter]) -> pa.Schema:
    """The schema of parameters for clients."""
    return pa.schema([pa.field(one.name, one.type) for one in parameters])


def bound(parameters: Sequence[Parameter], table: pa.Table) -> Binding:
    """The rows of a table as values of the parameters. Strings are converted to the parameter's
    type.

    Raises:
        InvalidRequest: their number or a type is wrong.
    """
    if table.num_columns != len(parameters):
        raise InvalidRequest(
            f"The statement has {len(parameters)} parameters, and {table.num_columns} were bound."
        )
    columns = [_column(column, one) for column, one in zip(table.columns, parameters, strict=True)]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return Binding(tuple(column.type for column in columns), tuple(rows))


def example(parameters: Sequence[Parameter]) -> Binding:
    """Placeholder values of the parameters' types, to get the schema of the result."""
    kinds = tuple(one.type for one in parameters)
    return Binding(kinds, (tuple(_value_of(kind) for kind in kinds),))


def _column(column: pa.ChunkedArray, parameter: Parameter) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        kind = parameter.type
    elif pa.types.is_string_view(kind):
        kind = pa.string()
    elif pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        kind = pa.binary()
    elif pa.types.is_timestamp(kind):
        kind = pa.timestamp("us", kind.tz)
    elif pa.types.is_time(kind):
        kind = pa.time64("us")
    elif pa.types.is_float16(kind):
        kind = pa.float32()
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequest(
            f"A value of parameter {parameter.name} cannot be read as {kind}: {error}"
        ) from error


def _number(node: exp.Expr) -> int:
    text = node.name.removeprefix(PLACEHOLDER)
    if not text.isdecimal() or not 0 < int(text) <= MOST_PARAMETERS:
        raise InvalidRequest("Parameters are written as ?, or as $1, $2 and so on.")
    return int(text)


def _type_at(node: exp.Expr, kinds: Mapping[str, pa.DataType]) -> pa.DataType:
    """The type that a placeholder is compared with or cast to; null if unknown."""
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    match parent:
        case exp.Limit() | exp.Offset():
            return pa.int64()
        case exp.Cast(to=exp.DataType(this=kind)):
            return TYPES.get(kind, pa.null())
    if isinstance(parent, COMPARISONS):
        for other in parent.iter_expressions():
            other = other.unnest()
            if isinstance(other, exp.Column) and other.name in kinds:
                return kinds[other.name]
            if isinstance(other, exp.Literal) and other is not node:
                return pa.string() if other.is_string else pa.int64()
    return pa.null()


def _value_of(kind: pa.DataType) -> Any:
    types = pa.types
    tests: tuple[tuple[Any, Any], ...] = (
        (types.is_boolean, False),
        (types.is_integer, 1),
        (types.is_floating, 1.0),
        (types.is_decimal, Decimal(1)),
        (types.is_date, date(2000, 1, 1)),
        (types.is_time, time()),
        (types.is_list, []),
        (types.is_binary, b""),
    )
    if types.is_timestamp(kind):
        return datetime(2000, 1, 1, tzinfo=UTC if kind.tz else None)
    return next((value for test, value in tests if test(kind)), "")
