"""Builds graphql-core's types from the compiled schema."""

from collections.abc import Iterator
from typing import Any

import msgspec
from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    specified_directives,
)

from flight_service.graphql.schema.compiled import (
    Argument,
    Compiled,
    Enum,
    Field,
    InputField,
    InputType,
    Interface,
    Operation,
    Query,
    Ref,
    Type,
    Union,
    deprecation,
)
from flight_service.graphql.schema.connections import Connections
from flight_service.graphql.schema.inputs import InputTypes
from flight_service.graphql.schema.scalars import OpenEnum, make_scalar

NODE = "Node"
"""The interface of objects with a global ID."""


class TypeBuilder:
    """Builds each type when it is first used. Fields are thunks, so that types may be cyclic."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._defined: dict[str, Type | Interface | Union | Enum | InputType] = {
            one.name: one
            for section in (
                compiled.types,
                compiled.interfaces,
                compiled.unions,
                compiled.enums,
                compiled.input_types,
            )
            for one in section
        }
        # graphql-core annotates its constructors with their base class.
        self._made: dict[str, Any] = {}
        self._inputs = InputTypes(self._defined, self.named)
        self._connections = Connections(self._defined, self.named)

    def build(
        self, otherwise: dict[str, GraphQLField], assume_valid: bool = False
    ) -> GraphQLSchema:
        """The schema. If it has no queries, its query type has the given fields."""
        return GraphQLSchema(
            query=self._root("Query", self._compiled.queries, otherwise),
            mutation=self._root("Mutation", self._compiled.mutations),
            subscription=self._root("Subscription", self._compiled.subscriptions),
            types=[self.named(name) for name in self._defined],
            directives=[*specified_directives, *self._directives()],
            assume_valid=assume_valid,
        )

    def _directives(self) -> Iterator[GraphQLDirective]:
        """The schema's own directives. Clients may use them; they have no effect."""
        known = {one.name for one in specified_directives}
        for one in self._compiled.directives:
            if one.name not in known:
                yield GraphQLDirective(
                    one.name,
                    [DirectiveLocation[place] for place in one.locations],
                    {argument.name: self._argument(argument) for argument in one.arguments},
                    one.is_repeatable,
                    one.description,
                )

    def _root(
        self,
        name: str,
        operations: tuple[Query, ...] | tuple[Operation, ...],
        otherwise: dict[str, GraphQLField] | None = None,
    ) -> Any:
        if not operations:
            return None if otherwise is None else GraphQLObjectType(name, otherwise)
        return GraphQLObjectType(
            name,
            lambda: {
                **(self._node() if name == "Query" else {}),
                **{one.name: self._operation(one) for one in operations},
            },
        )

    def _node(self) -> dict[str, GraphQLField]:
        """The query of any object by its global ID, if the schema has the interface for it."""
        if not isinstance(self._defined.get(NODE), Interface):
            return {}
        argument = GraphQLArgument(GraphQLNonNull(self.named("ID")))
        return {"node": GraphQLField(self.named(NODE), args={"id": argument})}

    def _operation(self, one: Query | Operation) -> GraphQLField:
        arguments = {argument.name: self._argument(argument) for argument in one.arguments}
        if isinstance(one, Query):
            # Claims set these, so clients cannot.
            arguments = {n: a for n, a in arguments.items() if n not in one.inject_params}
            arguments = self._inputs.automatic(one) | arguments
        if isinstance(one, Query) and one.relay and not one.returns_count:
            made: Any = self._connections.of(one.return_type.name)
        elif isinstance(one, Query) and one.returns_count:
            made = self.named("Int")
        else:
            made = self.output(one.return_type)
            if one.returns_list:
                made = GraphQLList(GraphQLNonNull(made))
        return GraphQLField(
            made if one.nullable else GraphQLNonNull(made),
            args=arguments,
            description=one.description,
            deprecation_reason=deprecation(one.deprecated),
        )

    def named(self, name: str) -> Any:
        """The type of a name. A name that the schema does not define is a scalar's."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Any:
        match self._defined.get(name):
            case Type() as one:
                return GraphQLObjectType(
                    name,
                    lambda: {field.name: self._field(field) for field in one.fields},
                    interfaces=lambda: [self.named(i) for i in one.implements],
                    description=one.description,
                )
            case Interface() as one:
                return GraphQLInterfaceType(
                    name,
                    lambda: {field.name: self._field(field) for field in one.fields},
                    description=one.description,
                )
            case Union() as one:
                return GraphQLUnionType(
                    name,
                    lambda: [self.named(member) for member in one.member_types],
                    description=one.description,
                )
            case Enum() as one:
                return _enum(one)
            case InputType() as one:
                return GraphQLInputObjectType(
                    name,
                    lambda: {field.name: self._input_field(field) for field in one.fields},
                    description=one.description,
                )
            case None:
                return make_scalar(name)

    def _field(self, field: Field) -> GraphQLField:
        made = self.output(field.field_type)
        return GraphQLField(
            made if field.nullable else GraphQLNonNull(made),
            description=field.description,
            deprecation_reason=deprecation(field.deprecated),
        )

    def output(self, ref: Ref) -> Any:
        """The type of a reference, nullable."""
        if ref.of is None:
            return self.named(ref.name)
        inner = self.output(ref.of)
        return GraphQLList(inner if ref.of_nullable else GraphQLNonNull(inner))

    def _argument(self, argument: Argument) -> GraphQLArgument:
        return GraphQLArgument(
            *self._input(argument, argument.arg_type),
            description=argument.description,
            deprecation_reason=self._input_deprecation(argument),
        )

    def _input_field(self, field: InputField) -> GraphQLInputField:
        return GraphQLInputField(
            *self._input(field, field.field_type),
            description=field.description,
            deprecation_reason=self._input_deprecation(field),
        )

    def _input(self, one: Argument | InputField, ref: Ref) -> tuple[Any, Any]:
        """The type and the default of an argument or input field."""
        made = self.output(ref)
        return (
            GraphQLNonNull(made) if _is_required(one) else made,
            Undefined if one.default_value is msgspec.UNSET else _internal(made, one.default_value),
        )

    def _input_deprecation(self, one: Argument | InputField) -> str | None:
        """Why it is deprecated. GraphQL does not allow deprecation of what is required."""
        return None if _is_required(one) else deprecation(one.deprecated)


def _is_required(one: Argument | InputField) -> bool:
    return not one.nullable and one.default_value is msgspec.UNSET


def _internal(of: Any, default: Any) -> Any:
    """A default value with enum members, also in lists, as they are stored."""
    if isinstance(default, list):
        return [_internal(of, one) for one in default]
    named = get_named_type(of)
    if isinstance(named, GraphQLEnumType) and default in named.values:
        return named.values[default].value
    return default


def _enum(one: Enum) -> Any:
    stored = one.stored()
    return OpenEnum(
        one.name,
        {
            value.name: GraphQLEnumValue(
                stored[value.name],
                description=value.description,
                deprecation_reason=deprecation(value.deprecated),
            )
            for value in one.members()
        },
        description=one.description,
    )
