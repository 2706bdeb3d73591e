"""Filters and orders of a query, as resolved against the schema. What they become in SQL is not
decided here."""

from dataclasses import dataclass
from typing import Any, Literal

from flight_service.graphql.schema.operators import Operator
from flight_service.graphql.schema.scalars import Kind

Direction = Literal["ASC", "DESC"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with an operand by an operator."""

    field: tuple[str, ...]
    """The field, by the names of the objects around it and its own."""
    kind: Kind
    operator: Operator
    operand: Any


@dataclass(frozen=True, slots=True)
class Not:
    """A filter that must not match."""

    filter: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    """Filters that must all match; without any, every row matches."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Filters of which one must match; without any, no row matches."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class EqualsText:
    """A value, a field or not, that equals a text: what a claim or an extra argument requires."""

    name: str
    """The field's name, or that of a column or document key."""
    is_field: bool
    text: str | None
    """None matches no row."""
    from_claim: bool


Filter = Comparison | Not | All | AnyOf | EqualsText


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A scalar field that rows are ordered by."""

    field: tuple[str, ...]
    kind: Kind
    direction: Direction = "ASC"
