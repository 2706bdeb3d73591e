"""The scalars: what each accepts in a query, and its types in PostgreSQL and Arrow.

`Int` is wider than GraphQL's 32 bits, since a column may be a bigint. Values are checked here, so
that no cast in the database fails on a value that a client sent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import pyarrow as pa
from graphql import (
    EnumValueNode,
    FloatValueNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLError,
    GraphQLFloat,
    GraphQLID,
    GraphQLScalarType,
    GraphQLString,
    IntValueNode,
    StringValueNode,
    ValueNode,
    value_from_ast_untyped,
)

WHOLE = re.compile(r"-?[0-9]{1,19}\Z")
UNKNOWN = "String"
"""The scalar that unknown scalars are treated as."""
DECIMAL = pa.decimal128(38, 10)
TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Kind:
    """A scalar with its types in PostgreSQL and Arrow."""

    name: str
    sql: str
    """The PostgreSQL type in which values are compared and ordered."""
    arrow: pa.DataType
    text: bool = False
    """Whether it has the text operators."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("String", "text", pa.string(), text=True),
        Kind("ID", "text", pa.string(), text=True),
        Kind("UUID", "text", pa.string(), text=True),
        Kind("Int", "int4", pa.int32()),
        Kind("Float", "float8", pa.float64()),
        Kind("Boolean", "bool", pa.bool_()),
        Kind("DateTime", "timestamptz", TIMESTAMP),
        Kind("Date", "date", pa.date32()),
        Kind("Time", "time", pa.time64("us")),
        Kind("Decimal", "numeric", DECIMAL),
        Kind("JSON", "jsonb", pa.string()),
    )
}


def kind_of(name: str) -> Kind:
    """The scalar of a name. Enums and unknown scalars are text."""
    return KINDS.get(name) or KINDS[UNKNOWN]


def _int(value: Any) -> int:
    if isinstance(value, str) and WHOLE.match(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise GraphQLError(f"Int cannot represent non-integer value: {value!r}")
    if not -(2**63) <= value < 2**63:
        raise GraphQLError(f"Int cannot represent a value beyond 64 bits: {value}")
    return value


def _decimal(value: Any) -> str:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        number = Decimal("NaN")
    if not number.is_finite():
        raise GraphQLError(f"Decimal cannot represent value: {value!r}")
    return f"{number:f}" if abs(number.adjusted()) < 1000 else str(number)


def _text_of(name: str, form: str, read: Callable[[str], str]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        try:
            if not isinstance(value, str):
                raise ValueError
            return read(value)
        except ValueError:
            raise GraphQLError(
                f"{name} cannot represent value: {value!r}; expected {form}"
            ) from None

    return parse


def _instant(text: str) -> str:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _json(value: Any) -> Any:
    return value


PARSERS: dict[str, Callable[[Any], Any]] = {
    "Int": _int,
    "Decimal": _decimal,
    "UUID": _text_of("UUID", "a UUID", lambda text: str(UUID(text))),
    "DateTime": _text_of("DateTime", "an RFC 3339 time", _instant),
    "Date": _text_of("Date", "YYYY-MM-DD", lambda text: date.fromisoformat(text).isoformat()),
    "Time": _text_of("Time", "hh:mm:ss", lambda text: time.fromisoformat(text).isoformat()),
    "JSON": _json,
}
DESCRIPTIONS = {
    "Int": "A whole number of up to 64 bits.",
    "Decimal": "An exact decimal number; a string keeps digits that a JSON number might lose.",
    "UUID": "A UUID, in its usual form of 36 characters.",
    "DateTime": "An instant, as in RFC 3339; without an offset it is UTC.",
    "Date": "A day, YYYY-MM-DD.",
    "Time": "A time of day, hh:mm:ss.ffffff.",
    "JSON": "Any JSON value.",
}


GRAPHQL_OWN: dict[str, Any] = {
    one.name: one for one in (GraphQLString, GraphQLBoolean, GraphQLFloat, GraphQLID)
}


class _Scalar(GraphQLScalarType):
    """A scalar that may have the name of a built-in one of graphql-core."""

    reserved_types = {}  # noqa: RUF012 [graphql-core annotates it]


def make_scalar(name: str) -> Any:
    """The GraphQL scalar of a name that the compiled schema uses."""
    if name in GRAPHQL_OWN:
        return GRAPHQL_OWN[name]
    parse = PARSERS.get(name, _json)

    def parse_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        match node:
            case FloatValueNode(value=text) | IntValueNode(value=text) if name == "Decimal":
                return parse(text)
            case IntValueNode() | FloatValueNode() | StringValueNode():
                if name == "Int" and isinstance(node, FloatValueNode):
                    raise GraphQLError(f"Int cannot represent non-integer value: {node.value}")
        return parse(value_from_ast_untyped(node, variables))

    return _Scalar(
        name, description=DESCRIPTIONS.get(name), parse_value=parse, parse_literal=parse_literal
    )


class OpenEnum(GraphQLEnumType):
    """An enum whose values may also be strings, in any case, as in FraiseQL."""

    def parse_value(self, input_value: Any, hide_suggestions: bool = False) -> Any:
        return super().parse_value(self._value(input_value), hide_suggestions)

    def parse_literal(
        self,
        value_node: ValueNode,
        _variables: dict[str, Any] | None = None,
        hide_suggestions: bool = False,
    ) -> Any:
        if isinstance(value_node, StringValueNode):
            return self.parse_value(value_node.value, hide_suggestions)
        if isinstance(value_node, EnumValueNode):
            value_node = EnumValueNode(value=self._value(value_node.value), loc=value_node.loc)
        return super().parse_literal(value_node, _variables, hide_suggestions)

    def _value(self, given: Any) -> Any:
        if isinstance(given, str) and given not in self.values and given.upper() in self.values:
            return given.upper()
        return given


SURROGATE = re.compile("[\ud800-\udfff]")


def storable(text: str) -> bool:
    """Whether PostgreSQL can store a text: it has no NUL and no lone surrogate."""
    return "\0" not in text and not SURROGATE.search(text)
