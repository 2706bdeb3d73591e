"""The generated arguments of a query: `where`, `orderBy`, `limit` and `offset`, or those of
pages."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    is_leaf_type,
)

from flight_service.graphql.schema.compiled import Field, InputType, Interface, Query, Ref, Type
from flight_service.graphql.schema.operators import (
    COMBINATORS,
    JSON,
    LIST,
    OPERATORS,
    SCALAR,
    TEXT,
    Family,
    Operator,
)
from flight_service.graphql.schema.scalars import OpenEnum, kind_of

UNORDERED = frozenset(("JSON",))
PAGE = {"first": "Int", "after": "String", "last": "Int", "before": "String"}


class InputTypes:
    """Makes the input types of generated arguments for each object type, with FraiseQL's names. A
    type of that name in the compiled schema is used instead."""

    def __init__(self, defined: Mapping[str, Any], named: Callable[[str], Any]) -> None:
        self._defined = defined
        self._named = named
        self._made: dict[str, Any] = {}

    def automatic(self, query: Query) -> dict[str, GraphQLArgument]:
        """The arguments of a query that the compiled schema does not list."""
        params, of = query.auto_params, query.return_type.name
        made: dict[str, GraphQLArgument] = {}
        if params.has_where:
            made["where"] = GraphQLArgument(self._where(of))
        if query.returns_count:
            return made
        if params.has_order_by:
            made["orderBy"] = GraphQLArgument(GraphQLList(GraphQLNonNull(self._order(of))))
        if query.relay:
            return made | {
                name: GraphQLArgument(self._named(scalar)) for name, scalar in PAGE.items()
            }
        if params.has_limit:
            made["limit"] = GraphQLArgument(self._named("Int"))
        if params.has_offset:
            made["offset"] = GraphQLArgument(self._named("Int"))
        return made

    def _type(
        self, name: str, fields: Callable[[], dict[str, GraphQLInputField]]
    ) -> GraphQLInputObjectType:
        if isinstance(self._defined.get(name), InputType):
            return self._named(name)
        while name in self._defined:
            name += "_"
        if name not in self._made:
            self._made[name] = GraphQLInputObjectType(name, fields)
        return self._made[name]

    def _fields(self, of: str) -> tuple[Field, ...]:
        one = self._defined[of]
        return one.fields if isinstance(one, Type | Interface) else ()

    def _where(self, of: str) -> Any:
        return self._type(f"{of}WhereInput", lambda: self._where_fields(of))

    def _where_fields(self, of: str) -> dict[str, GraphQLInputField]:
        own = self._where(of)
        combined = {
            name: GraphQLInputField(
                own if meant == "_not" else GraphQLList(GraphQLNonNull(own)),
            )
            for name, meant in COMBINATORS.items()
        }
        fields: dict[str, GraphQLInputField] = {}
        for field in self._fields(of):
            if (made := self._filter(field.field_type)) is not None:
                fields[field.name] = GraphQLInputField(made)
        return combined | fields

    def _filter(self, ref: Ref) -> Any:
        """The type of a field's filter; None if it cannot be filtered."""
        if ref.of is not None:
            return self._list_filter(ref)
        if isinstance(self._defined.get(ref.name), Type | Interface):
            return self._where(ref.name)
        value = self._named(ref.name)
        if not is_leaf_type(value):
            return None
        families = TEXT if kind_of(ref.name).text else SCALAR
        if ref.name in UNORDERED:
            families = JSON
        return self._operators(ref.name, value, families)

    def _list_filter(self, ref: Ref) -> Any:
        """The type of the filter of a whole list. Lists of objects are compared as JSON."""
        base = self._named(ref.base)
        depth, of = 0, ref.of
        while of is not None:
            depth, of = depth + 1, of.of
        value: Any = self._named("JSON")
        if is_leaf_type(base):
            value = base
            for _ in range(depth):
                value = GraphQLList(value)
        return self._operators(f"{ref.base}{'List' * depth}", value, LIST)

    def _operators(self, key: str, value: Any, families: frozenset[Family]) -> Any:
        return self._type(
            f"{key}Filter",
            lambda: {
                name: GraphQLInputField(self._operand(one, value))
                for one in OPERATORS
                if one.family in families
                for name in one.names
            },
        )

    def _operand(self, one: Operator, value: Any) -> Any:
        match one.operand:
            case "value":
                return value
            case "list":
                return GraphQLList(value)
            case "boolean":
                return self._named("Boolean")
            case "text":
                return self._named("String")
            case "count":
                return self._named("Int")
            case "json":
                return self._named("JSON")

    def _order(self, of: str) -> Any:
        return self._type(f"{of}OrderByInput", lambda: self._order_fields(of))

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
        name = "SortDirection"
        if name in self._defined:
            return self._named(name)
        if name not in self._made:
            self._made[name] = OpenEnum(name, {"ASC": "ASC", "DESC": "DESC"})
        return self._made[name]
