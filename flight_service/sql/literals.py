"""Values in conditions: converts a literal to the type of the compared column."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from sqlglot import exp

from flight_service.errors import InvalidRequest
from flight_service.tickets import shown

DIGITS = 38
"""The maximum precision of a decimal in Arrow."""
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_TIMES = (
    exp.DataType.Type.DATE,
    exp.DataType.Type.TIMESTAMP,
    exp.DataType.Type.TIMESTAMPTZ,
)
"""The types whose name may stand before a literal: `DATE '2026-01-31'`."""
_TRUTHS = {"true": True, "t": True, "false": False, "f": False}


def read_literal(node: exp.Expr, column: pa.Field) -> tuple[pa.DataType, Any] | None:
    """The value of a literal and its type, which is that of the column or a wider one. None if the
    node is not a literal.

    Raises:
        InvalidRequest: a literal of this kind cannot be compared with the column.
    """
    text, is_string = "", False
    match node:
        case exp.Boolean(this=value):
            text = "true" if value else "false"
        case exp.Literal(this=str(text), is_string=bool(is_string)):
            pass
        case exp.Cast(
            this=exp.Literal(this=str(text), is_string=True), to=exp.DataType(this=named)
        ) if named in _TIMES:
            is_string = True
        case exp.Neg(this=exp.Literal(this=str(text), is_string=False)):
            text = f"-{text}"
        case _:
            return None
    kind = column.type
    for fits, example, read in _KINDS:
        if fits(kind):
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            found = read(text) if is_string or not is_text else None
            if found is None:
                raise InvalidRequest(
                    f"{shown(text)} is no value of the column {column.name}, which is {kind}. "
                    f"Write one such as {example}."
                )
            return _bound(kind, found)
    raise InvalidRequest(
        f"The column {column.name} is {kind}, which a filter can only compare with IS NULL."
    )


def _bound(kind: pa.DataType, value: Any) -> tuple[pa.DataType, Any]:
    """A value with the type in which it is bound."""
    match value:
        case bool():
            return pa.bool_(), value
        case Decimal():
            return _number(kind, value)
        case datetime():
            return pa.timestamp("us", kind.tz), value if kind.tz else value.replace(tzinfo=None)
        case date():
            return pa.date32(), value
        case time():
            return pa.time64("us"), value
    return pa.string(), value


def _number(kind: pa.DataType, value: Decimal) -> tuple[pa.DataType, Any]:
    if pa.types.is_floating(kind):
        return pa.float64(), float(value)
    whole = value == value.to_integral_value()
    if whole and pa.types.is_integer(kind) and -(2**63) <= value < 2**63:
        return pa.int64(), int(value)
    exponent = value.as_tuple().exponent
    scale = max(0, -exponent) if isinstance(exponent, int) else 0
    digits = len(f"{abs(value):f}".replace(".", "").lstrip("0"))
    if max(digits, scale) > DIGITS:
        raise InvalidRequest(f"The number {shown(f'{value}')} has more than {DIGITS} digits.")
    return pa.decimal128(DIGITS, scale), value


def _decimal(text: str) -> Decimal | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


def timestamp_of(text: str) -> datetime | None:
    """The moment in UTC of a text in ISO 8601, which is in UTC unless it has an offset. None if it
    is none, or lies outside the years of a datetime."""
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def _time(text: str) -> time | None:
    try:
        found = time.fromisoformat(text.strip())
    except ValueError:
        return None
    return None if found.tzinfo else found


Read = Callable[[str], Any]
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], str, Read], ...] = (
    (pa.types.is_boolean, "true", lambda text: _TRUTHS.get(text.lower())),
    (pa.types.is_integer, "42", _decimal),
    (pa.types.is_floating, "4.2", _decimal),
    (pa.types.is_decimal, "4.20", _decimal),
    (pa.types.is_timestamp, "'2026-01-31T12:00:00Z'", timestamp_of),
    (pa.types.is_date, "'2026-01-31'", _date),
    (pa.types.is_time, "'12:00:00'", _time),
    (pa.types.is_string, "'a text' in quotes", lambda text: text),
    (pa.types.is_large_string, "'a text' in quotes", lambda text: text),
)
