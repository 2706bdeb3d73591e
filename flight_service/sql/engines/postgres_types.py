"""PostgreSQL's types in Arrow: the types of results, and how parameters are bound."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from flight_service.errors import InvalidRequest

DIGITS, SCALE = 38, 10
"""Precision and scale of decimals for which PostgreSQL reports none."""

AS_THEY_ARE: dict[str, pa.DataType] = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "interval": pa.month_day_nano_interval(),
}
"""The types that the driver sends in a suitable Arrow type."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a column of a type is returned."""

    type: pa.DataType
    convert: str | None = None
    """The SQL that converts it, with `{}` for the column; None if no conversion is needed."""


def shown(field: pa.Field) -> Shown:
    """How a column is returned, by its field in the driver's schema: exactly if Arrow has the type,
    else as text."""
    name, modifier = _postgres_type(field)
    if name == "numeric":
        precision, scale = _decimal(modifier)
        converted = f"round({{}}, {scale})::text"
        return Shown(pa.decimal128(precision, scale), converted)
    if name in AS_THEY_ARE:
        return Shown(AS_THEY_ARE[name])
    item = name.removeprefix("_")
    if item != name and item in AS_THEY_ARE:
        return Shown(pa.list_(pa.field("item", AS_THEY_ARE[item])))
    if item != name:
        return Shown(pa.list_(pa.field("item", pa.string())), "({})::text[]")
    return Shown(pa.string(), "({})::text")


def received(kind: pa.DataType) -> pa.DataType:
    """The type of a returned column in the driver's batches."""
    return pa.string() if pa.types.is_decimal(kind) else kind


def _postgres_type(field: pa.Field) -> tuple[str, int]:
    metadata = field.metadata or {}
    name = metadata.get(b"POSTGRESQL:type", b"").decode()
    modifier = int(metadata.get(b"POSTGRESQL:typmod", b"-1").decode().strip("'"))
    if name:
        return name, modifier
    if pa.types.is_list(field.type):
        inner, _ = _postgres_type(field.type.value_field)
        return f"_{inner}", -1
    return _BY_ARROW.get(field.type, ""), -1


_BY_ARROW = {kind: name for name, kind in AS_THEY_ARE.items() if name != "varchar"}


def _decimal(modifier: int) -> tuple[int, int]:
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
    fits = modifier >= 4 and precision <= DIGITS and scale <= precision
    return (precision, scale) if fits else (DIGITS, SCALE)


Text = Callable[[Any], str]
_BINDING: tuple[tuple[Callable[[pa.DataType], bool], str | None, Text], ...] = (
    (pa.types.is_boolean, "bool", lambda value: "true" if value else "false"),
    (pa.types.is_int8, "int2", str),
    (pa.types.is_int16, "int2", str),
    (pa.types.is_int32, "int4", str),
    (pa.types.is_uint8, "int2", str),
    (pa.types.is_uint16, "int4", str),
    (pa.types.is_uint64, "numeric", str),
    (pa.types.is_integer, "int8", str),
    (pa.types.is_float32, "float4", repr),
    (pa.types.is_floating, "float8", repr),
    (pa.types.is_decimal, "numeric", lambda value: f"{value:f}"),
    (pa.types.is_date, "date", lambda value: value.isoformat()),
    (pa.types.is_time, "time", lambda value: value.isoformat()),
    (pa.types.is_string, "text", str),
    (pa.types.is_large_string, "text", str),
)


def bound_type(kind: pa.DataType) -> str:
    """PostgreSQL's type of a parameter.

    Raises:
        InvalidRequest: there is no such type.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{bound_type(kind.value_type)}[]"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytea"
    for test, name, _ in _BINDING:
        if name and test(kind):
            return name
    raise InvalidRequest(f"PostgreSQL has no parameters of the type {kind}. Bind it as a text.")


def bound_text(kind: pa.DataType, value: Any) -> str:
    """A value as the text of a setting."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_type
        return json.dumps([None if one is None else bound_text(inner, one) for one in value])
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    text = next(text(value) for test, _, text in _BINDING if test(kind))
    if "\x00" in text:
        raise InvalidRequest("A text holds U+0000, which PostgreSQL cannot.")
    return text


def read_setting(name: str, kind: pa.DataType) -> str:
    """The SQL that converts a setting to a value of the type."""
    sql_type = bound_type(kind)
    read = f"current_setting('{name}')"
    if sql_type.endswith("[]"):
        item = sql_type.removesuffix("[]")
        return f"ARRAY(SELECT jsonb_array_elements_text({read}::jsonb)::{item})"
    if sql_type == "bytea":
        return f"(SELECT decode({read}, 'hex'))"
    return f"(SELECT {read}::{sql_type})"
