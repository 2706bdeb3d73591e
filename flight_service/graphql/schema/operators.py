"""The operators of `where`: FraiseQL's names, and the type of each operand."""

from dataclasses import dataclass
from typing import Literal

from flight_service.graphql.schema.naming import camel

Operand = Literal["value", "list", "boolean", "text", "count", "json"]
Family = Literal["comparison", "order", "null", "text", "array", "json"]


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, by its first name."""

    name: str
    family: Family
    operand: Operand
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that clients may use."""
        return tuple(dict.fromkeys((self.name, *self.aliases, camel(self.name), f"_{self.name}")))


OPERATORS = (
    Operator("eq", "comparison", "value"),
    Operator("neq", "comparison", "value", ("ne",)),
    Operator("gt", "order", "value"),
    Operator("gte", "order", "value"),
    Operator("lt", "order", "value"),
    Operator("lte", "order", "value"),
    Operator("in", "comparison", "list"),
    Operator("nin", "comparison", "list", ("notin",)),
    Operator("isnull", "null", "boolean", ("is_null", "isNull")),
    Operator("is_not_null", "null", "boolean", ("isnotnull",)),
    Operator("contains", "text", "text"),
    Operator("icontains", "text", "text"),
    Operator("startswith", "text", "text"),
    Operator("istartswith", "text", "text"),
    Operator("endswith", "text", "text"),
    Operator("iendswith", "text", "text"),
    Operator("like", "text", "text"),
    Operator("ilike", "text", "text"),
    Operator("nlike", "text", "text"),
    Operator("nilike", "text", "text"),
    Operator("regex", "text", "text"),
    Operator("iregex", "text", "text", ("imatches",)),
    Operator("nregex", "text", "text", ("not_matches",)),
    Operator("niregex", "text", "text"),
    Operator("array_contains", "array", "json"),
    Operator("array_contained_by", "array", "json", ("array_contained_in", "contained_in")),
    Operator("array_overlaps", "array", "json"),
    Operator("len_eq", "array", "count"),
    Operator("len_neq", "array", "count"),
    Operator("len_gt", "array", "count"),
    Operator("len_gte", "array", "count"),
    Operator("len_lt", "array", "count"),
    Operator("len_lte", "array", "count"),
    Operator("strictly_contains", "json", "json"),
)
BY_NAME = {name: one for one in OPERATORS for name in one.names}
COMBINATORS = {
    "_and": "_and",
    "_or": "_or",
    "_not": "_not",
    "AND": "_and",
    "OR": "_or",
    "NOT": "_not",
}
"""Operators that combine filters, with the names of FraiseQL 1."""
SCALAR: frozenset[Family] = frozenset(("comparison", "order", "null"))
TEXT: frozenset[Family] = frozenset(("comparison", "order", "null", "text"))
LIST: frozenset[Family] = frozenset(("comparison", "order", "null", "array"))
JSON: frozenset[Family] = frozenset(("comparison", "null", "array", "json"))
