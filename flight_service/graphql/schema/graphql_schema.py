"""The compiled schema as a graphql-core schema: what clients validate against and introspect."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from graphql import (
    DirectiveLocation,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLError,
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
    validate_schema,
)

from flight_service.graphql.errors import SchemaInvalid
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
from flight_service.graphql.schema.naming import Naming
from flight_service.graphql.schema.scalars import OpenEnum, make_scalar

NODE = "Node"
"""The interface of what has a global ID."""


@dataclass(frozen=True)
class Schema:
    """A compiled schema, and the same for graphql-core."""

    compiled: Compiled
    graphql: GraphQLSchema
    types: dict[str, Type]
    interfaces: dict[str, Interface]
    unions: dict[str, Union]
    queries: dict[str, Query]
    naming: Naming = field(default_factory=Naming)
    """The rule from fields to the keys of documents."""
    enums: dict[str, dict[str, str]] = field(default_factory=dict)
    """The names of each enum's members, by the texts of what is stored for them."""
    scopes: frozenset[str] = frozenset()
    """The scopes that fields need."""
    visible: dict[Any, GraphQLSchema] = field(default_factory=dict, compare=False)
    """As principals may use it, by what they may ask for; see `planning.introspection`."""

    def possible(self, name: str) -> frozenset[str]:
        """The object types that a value of that type can be."""
        if name in self.unions:
            return frozenset(self.unions[name].member_types)
        if name in self.interfaces:
            return frozenset(t.name for t in self.types.values() if name in t.implements)
        return frozenset((name,))

    def declaring(self, name: str, field: str) -> dict[str, Field]:
        """Every declaration that a field of a value of that type has, by the type or interface: of
        the types that the value can be of, and of the interfaces that these implement."""
        owners = {name, *self.possible(name)}
        for one in tuple(owners):
            if one in self.types:
                owners.update(self.types[one].implements)
        found = {owner: self.fields(owner).get(field) for owner in sorted(owners)}
        return {owner: one for owner, one in found.items() if one is not None}

    def is_unique(self, type_name: str, cursor: str) -> bool:
        """Whether a cursor's column is by FraiseQL's rules a row's own: its id or primary key."""
        snake = self.naming.snake
        return snake(cursor) in ("id", f"pk_{snake(type_name)}")

    def is_abstract(self, name: str) -> bool:
        return name in self.unions or name in self.interfaces

    def fields(self, name: str) -> dict[str, Field]:
        """The fields of a type or interface, and of a union those of its members."""
        if name in self.types:
            return {field.name: field for field in self.types[name].fields}
        if name in self.interfaces:
            return {field.name: field for field in self.interfaces[name].fields}
        return {}


def build_schema(compiled: Compiled) -> Schema:
    """Builds the GraphQL schema.

    Raises:
        SchemaInvalid: the whole is no valid GraphQL schema, though its parts are well-formed.
    """
    builder = _Builder(compiled)
    try:
        graphql = builder.build({"_": GraphQLField(make_scalar("Boolean"))})
    except (TypeError, KeyError, GraphQLError) as error:
        raise SchemaInvalid(str(error)) from error
    if problems := validate_schema(graphql):
        raise SchemaInvalid("; ".join(problem.message for problem in problems))
    if not compiled.queries:
        # GraphQL wants a query in every schema. FraiseQL's may have mutations alone.
        graphql = builder.build({}, assume_valid=True)
    schema = Schema(
        compiled,
        graphql,
        {one.name: one for one in compiled.types},
        {one.name: one for one in compiled.interfaces},
        {one.name: one for one in compiled.unions},
        {one.name: one for one in compiled.queries},
        Naming(compiled.naming_acronyms),
        {
            one.name: {str(value): name for name, value in one.stored().items()}
            for one in compiled.enums
        },
        frozenset(
            one.requires_scope
            for owner in (*compiled.types, *compiled.interfaces)
            for one in owner.fields
            if one.requires_scope is not None
        ),
    )
    _check_pages(schema)
    return schema


def _check_pages(schema: Schema) -> None:
    """Refuses pages whose rows cannot be told apart.

    Raises:
        SchemaInvalid: naming the query.
    """
    for n, one in enumerate(schema.compiled.queries):
        cursor = one.relay_cursor_column or "id"
        name = one.return_type.name
        if one.relay and not schema.is_unique(name, cursor) and "id" not in schema.fields(name):
            raise SchemaInvalid(
                f"{cursor} may be the same in several rows, and {name} has no field id that tells "
                f"them apart - at `$.queries[{n}].relay_cursor_column`"
            )


class _Builder:
    """Types by name, each made when first asked for; fields are thunks, so types may be cyclic."""

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
        # graphql-core types its constructors as their base.
        self._made: dict[str, Any] = {}
        self._inputs = InputTypes(self._defined, self.named)
        self._connections = Connections(self._defined, self.named)

    def build(
        self, otherwise: dict[str, GraphQLField], assume_valid: bool = False
    ) -> GraphQLSchema:
        """The schema; the fields of its query type are the given ones where it has no queries."""
        return GraphQLSchema(
            query=self._root("Query", self._compiled.queries, otherwise),
            mutation=self._root("Mutation", self._compiled.mutations),
            subscription=self._root("Subscription", self._compiled.subscriptions),
            types=[self.named(name) for name in self._defined],
            directives=[*specified_directives, *self._directives()],
            assume_valid=assume_valid,
        )

    def _directives(self) -> Iterator[GraphQLDirective]:
        """The schema's own, which clients may write and which change nothing."""
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
        """The query of any object by its global ID, where the schema has the interface for it."""
        if not isinstance(self._defined.get(NODE), Interface):
            return {}
        argument = GraphQLArgument(GraphQLNonNull(self.named("ID")))
        return {"node": GraphQLField(self.named(NODE), args={"id": argument})}

    def _operation(self, one: Query | Operation) -> GraphQLField:
        arguments = {argument.name: self._argument(argument) for argument in one.arguments}
        if isinstance(one, Query):
            # A claim decides these, whatever a client would say.
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
        """The type of a name; a name that nothing defines is a scalar's."""
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
        """The (nullable) type that a reference means."""
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
        """The type and the default of what a client gives."""
        made = self.output(ref)
        return (
            GraphQLNonNull(made) if _is_required(one) else made,
            Undefined if one.default_value is msgspec.UNSET else _internal(made, one.default_value),
        )

    def _input_deprecation(self, one: Argument | InputField) -> str | None:
        """Why it is deprecated. GraphQL has no word for that of what must be given."""
        return None if _is_required(one) else deprecation(one.deprecated)


def _is_required(one: Argument | InputField) -> bool:
    return not one.nullable and one.default_value is msgspec.UNSET


def _internal(of: Any, default: Any) -> Any:
    """A default as queries have it: members of enums, also those in lists, as they are stored."""
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
