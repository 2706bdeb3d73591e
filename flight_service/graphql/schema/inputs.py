"""The generated arguments of a query: `where`, `orderBy`, `limit`, `offset`, or a page's four."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    is_leaf_type,
)

from flight_service.graphql.schema.compiled import Field, Interface, Query, Type
from flight_service.graphql.schema.scalars import kind_of

COMPARISONS = ("eq", "neq", "gt", "gte", "lt", "lte")
LISTS = ("in", "nin")
PATTERNS = ("like", "ilike", "contains", "startswith", "endswith")
OPERATORS = frozenset((*COMPARISONS, *LISTS, *PATTERNS, "isnull"))
COMBINATORS = ("_and", "_or", "_not")
UNORDERED = frozenset(("Json",))


class InputTypes:
    """Makes the input types of automatic arguments, one set per object type."""

    def __init__(self, defined: Mapping[str, Any], named: Callable[[str], Any]) -> None:
        self._defined = defined
        self._named = named
        self._made: dict[str, Any] = {}

    def automatic(self, query: Query) -> dict[str, GraphQLArgument]:
        """The arguments that a query has beside those that the compiled schema lists."""
        params, of = query.auto_params, query.return_type.name
        made: dict[str, GraphQLArgument] = {}
        if params.has_where:
            made["where"] = GraphQLArgument(self._where(of))
        if query.relay:
            for name, scalar in (
                ("first", "Int"),
                ("after", "String"),
                ("last", "Int"),
                ("before", "String"),
            ):
                made[name] = GraphQLArgument(self._named(scalar))
            return made
        if params.has_order_by:
            made["orderBy"] = GraphQLArgument(GraphQLList(GraphQLNonNull(self._order(of))))
        if params.has_limit:
            made["limit"] = GraphQLArgument(self._named("Int"))
        if params.has_offset:
            made["offset"] = GraphQLArgument(self._named("Int"))
        return made

    def _free(self, name: str) -> str:
        """A type name that the compiled schema does not define itself."""
        while name in self._defined:
            name += "_"
        return name

    def _fields(self, of: str) -> tuple[Field, ...]:
        one = self._defined[of]
        return one.fields if isinstance(one, Type | Interface) else ()

    def _where(self, of: str) -> Any:
        name = self._free(f"{of}WhereInput")
        if name not in self._made:
            self._made[name] = GraphQLInputObjectType(name, lambda: self._where_fields(of))
        return self._made[name]

    def _where_fields(self, of: str) -> dict[str, GraphQLInputField]:
        fields: dict[str, GraphQLInputField] = {}
        for field in self._fields(of):
            if (made := self._filter(field)) is not None:
                fields[field.name] = GraphQLInputField(made)
        own = self._where(of)
        return fields | {
            "_and": GraphQLInputField(GraphQLList(GraphQLNonNull(own))),
            "_or": GraphQLInputField(GraphQLList(GraphQLNonNull(own))),
            "_not": GraphQLInputField(own),
        }

    def _filter(self, field: Field) -> Any:
        if field.field_type.of is not None:
            return None
        name = field.field_type.name
        if isinstance(self._defined.get(name), Type | Interface):
            return self._where(name)
        return self._operators(name) if is_leaf_type(self._named(name)) else None

    def _operators(self, scalar: str) -> Any:
        name = self._free(f"{scalar}Filter")
        if name not in self._made:
            self._made[name] = GraphQLInputObjectType(name, lambda: self._operator_fields(scalar))
        return self._made[name]

    def _operator_fields(self, scalar: str) -> dict[str, GraphQLInputField]:
        value: Any = self._named(scalar)
        kinds: dict[str, Any] = {"isnull": self._named("Boolean")}
        if scalar not in UNORDERED:
            kinds |= dict.fromkeys(COMPARISONS, value)
            kinds |= dict.fromkeys(LISTS, GraphQLList(GraphQLNonNull(value)))
        else:
            kinds |= dict.fromkeys(("eq", "neq"), value)
        if kind_of(scalar).text:
            kinds |= dict.fromkeys(PATTERNS, self._named("String"))
        fields = {name: GraphQLInputField(kind) for name, kind in kinds.items()}
        return fields | {f"_{name}": GraphQLInputField(kind) for name, kind in kinds.items()}

    def _order(self, of: str) -> Any:
        name = self._free(f"{of}OrderBy")
        if name not in self._made:
            self._made[name] = GraphQLInputObjectType(name, lambda: self._order_fields(of))
        return self._made[name]

    def _order_fields(self, of: str) -> dict[str, GraphQLInputField]:
        fields: dict[str, GraphQLInputField] = {}
        for field in self._fields(of):
            if field.field_type.of is None:
                name = field.field_type.name
                if isinstance(self._defined.get(name), Type | Interface):
                    fields[field.name] = GraphQLInputField(self._order(name))
                elif name not in UNORDERED and is_leaf_type(self._named(name)):
                    fields[field.name] = GraphQLInputField(self._direction())
        return fields | {
            "field": GraphQLInputField(self._named("String")),
            "direction": GraphQLInputField(self._direction()),
        }

    def _direction(self) -> Any:
        name = self._free("OrderDirection")
        if name not in self._made:
            self._made[name] = GraphQLEnumType(name, {"ASC": "ASC", "DESC": "DESC"})
        return self._made[name]
