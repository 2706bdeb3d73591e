"""ClickHouse's types in Arrow: the types of results, and how parameters are bound."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa

from flight_service.errors import InvalidRequest

PLAIN: dict[str, pa.DataType] = {
    "String": pa.string(),
    "Bool": pa.bool_(),
    "Int8": pa.int8(),
    "Int16": pa.int16(),
    "Int32": pa.int32(),
    "Int64": pa.int64(),
    "UInt8": pa.uint8(),
    "UInt16": pa.uint16(),
    "UInt32": pa.uint32(),
    "UInt64": pa.uint64(),
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Date": pa.date32(),
    "Date32": pa.date32(),
    "Nothing": pa.null(),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """How a column of a type is returned."""

    type: pa.DataType
    nullable: bool
    convert: str | None = None
    """The SQL that converts it, with `{}` for the column; None if no conversion is needed."""


def shown(described: str) -> Shown:
    """How a column of a type is returned: exactly if Arrow has the type, else as text."""
    name, arguments = _split(" ".join(described.split()))
    if name in ("Nullable", "LowCardinality"):
        inner = shown(arguments[0])
        nullable = name == "Nullable" or inner.nullable
        return Shown(inner.type, nullable, inner.convert)
    if name == "DateTime":
        zone = _zone(arguments)
        return Shown(pa.timestamp("s", zone), False, f"toDateTime64({{}}, 0, '{zone}')")
    if name == "AggregateFunction":
        raise InvalidRequest(
            "The statement gives the state of an aggregate function. Finish it, such as with "
            "uniqMerge in the place of uniqState."
        )
    exact = _exact(name, arguments)
    if exact is not None:
        return Shown(exact, pa.types.is_null(exact))
    return Shown(pa.string(), False, "toString({})")


def _exact(name: str, arguments: list[str]) -> pa.DataType | None:
    """The Arrow type that ClickHouse itself sends, if it is suitable."""
    if name in PLAIN:
        return PLAIN[name]
    if name.startswith("Interval"):
        return pa.int64()
    if name == "DateTime64":
        digits = int(arguments[0])
        unit = next(unit for most, unit in UNITS if digits <= most)
        return pa.timestamp(unit, _zone(arguments[1:]))
    if name == "Decimal":
        precision, scale = int(arguments[0]), int(arguments[1])
        kind: Any = pa.decimal128 if precision <= 38 else pa.decimal256
        return kind(precision, scale)
    if name in ("Array", "Map", "Tuple"):
        return _nested(name, arguments)
    return None


UNITS = ((0, "s"), (3, "ms"), (6, "us"), (9, "ns"))


def _nested(name: str, arguments: list[str]) -> pa.DataType | None:
    fields: list[pa.Field] = []
    for number, argument in enumerate(arguments, 1):
        label, kind = f"{number}", argument
        if name == "Tuple" and " " in argument.partition("(")[0]:
            label, _, kind = argument.partition(" ")
        inner = shown(kind)
        if inner.convert is not None:
            return None
        fields.append(pa.field(label.strip("`"), inner.type, inner.nullable))
    if name == "Array":
        return pa.list_(fields[0].with_name("item"))
    if name == "Map":
        return pa.map_(fields[0].type, fields[1].with_name("value"))
    return pa.struct(fields)


def _split(described: str) -> tuple[str, list[str]]:
    """A type's name and its arguments."""
    name, opened, rest = described.partition("(")
    if not opened:
        return name, []
    arguments, depth, begin, quote = [], 0, 0, ""
    inner = rest.removesuffix(")")
    for place, sign in enumerate(inner):
        if quote:
            quote = "" if sign == quote and inner[place - 1] != "\\" else quote
        elif sign in "'`":
            quote = sign
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == "," and not depth:
            arguments.append(inner[begin:place].strip())
            begin = place + 1
    return name, [*arguments, inner[begin:].strip()]


def _zone(arguments: list[str]) -> str:
    return arguments[0].strip("\\'") if arguments else "UTC"


Text = Callable[[Any], Any]
_BINDING: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], str], Text], ...] = (
    (pa.types.is_boolean, lambda kind: "Bool", lambda value: "true" if value else "false"),
    (pa.types.is_signed_integer, lambda kind: f"Int{kind.bit_width}", int),
    (pa.types.is_unsigned_integer, lambda kind: f"UInt{kind.bit_width}", int),
    (pa.types.is_floating, lambda kind: f"Float{kind.bit_width}", lambda value: f"{value!r}"),
    (
        pa.types.is_decimal,
        lambda kind: f"Decimal({kind.precision}, {max(0, kind.scale)})",
        lambda value: f"{value:f}",
    ),
    (pa.types.is_date, lambda kind: "Date32", date.isoformat),
    (
        pa.types.is_timestamp,
        lambda kind: "DateTime64(6, 'UTC')",
        lambda value: f"{_utc(value):%Y-%m-%d %H:%M:%S.%f}",
    ),
    (pa.types.is_time, lambda kind: "String", time.isoformat),
    (
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        lambda kind: "String",
        str,
    ),
)


def bound_type(kind: pa.DataType) -> str:
    """ClickHouse's type of a parameter.

    Raises:
        InvalidRequest: there is no such type.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"Array(Nullable({bound_type(kind.value_type)}))"
    for test, name, _ in _BINDING:
        if test(kind):
            return name(kind)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "String"
    raise InvalidRequest(f"ClickHouse has no parameters of the type {kind}. Bind it as a text.")


def bound_value(kind: pa.DataType, value: Any) -> Any:
    """A value in the form of the driver; a binary one as hexadecimal digits."""
    if value is None:
        return None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [bound_value(kind.value_type, one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return next(text(value) for test, _, text in _BINDING if test(kind))


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value
