"""The compiled schema with its graphql-core schema, for validation and introspection."""

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLField, GraphQLSchema, validate_schema

from flight_service.graphql.errors import SchemaInvalid
from flight_service.graphql.schema.compiled import Compiled, Field, Interface, Query, Type, Union
from flight_service.graphql.schema.naming import Naming
from flight_service.graphql.schema.scalars import make_scalar
from flight_service.graphql.schema.type_builder import TypeBuilder


@dataclass(frozen=True)
class Schema:
    """A compiled schema, and its graphql-core schema."""

    compiled: Compiled
    graphql: GraphQLSchema
    types: dict[str, Type]
    interfaces: dict[str, Interface]
    unions: dict[str, Union]
    queries: dict[str, Query]
    naming: Naming = field(default_factory=Naming)
    """The rule from field names to document keys."""
    enums: dict[str, dict[str, str]] = field(default_factory=dict)
    """The member names of each enum, by the text of what is stored for them."""
    scopes: frozenset[str] = frozenset()
    """The scopes that fields require."""
    visible: dict[Any, GraphQLSchema] = field(default_factory=dict, compare=False)
    """The part that principals may use, by their access; see `planning.introspection`."""

    def possible(self, name: str) -> frozenset[str]:
        """The object types that a value of a type can have."""
        if name in self.unions:
            return frozenset(self.unions[name].member_types)
        if name in self.interfaces:
            return frozenset(t.name for t in self.types.values() if name in t.implements)
        return frozenset((name,))

    def declaring(self, name: str, field: str) -> dict[str, Field]:
        """All declarations of a field of a type, by the type or interface that has them: the types
        that a value can have, and the interfaces that these implement."""
        owners = {name, *self.possible(name)}
        for one in tuple(owners):
            if one in self.types:
                owners.update(self.types[one].implements)
        found = {owner: self.fields(owner).get(field) for owner in sorted(owners)}
        return {owner: one for owner, one in found.items() if one is not None}

    def is_unique(self, type_name: str, cursor: str) -> bool:
        """Whether a cursor is unique by FraiseQL's rules: the id or the primary key."""
        snake = self.naming.snake
        return snake(cursor) in ("id", f"pk_{snake(type_name)}")

    def is_abstract(self, name: str) -> bool:
        return name in self.unions or name in self.interfaces

    def is_object(self, name: str) -> bool:
        return name in self.types or self.is_abstract(name)

    def fields(self, name: str) -> dict[str, Field]:
        """The fields of a type or interface; a union has none of its own."""
        if name in self.types:
            return {field.name: field for field in self.types[name].fields}
        if name in self.interfaces:
            return {field.name: field for field in self.interfaces[name].fields}
        return {}


def build_schema(compiled: Compiled) -> Schema:
    """Builds the GraphQL schema.

    Raises:
        SchemaInvalid: it is not a valid GraphQL schema.
    """
    builder = TypeBuilder(compiled)
    try:
        graphql = builder.build({"_": GraphQLField(make_scalar("Boolean"))})
    except (TypeError, KeyError, GraphQLError) as error:
        raise SchemaInvalid(str(error)) from error
    if problems := validate_schema(graphql):
        raise SchemaInvalid("; ".join(problem.message for problem in problems))
    if not compiled.queries:
        # GraphQL requires a query in every schema. FraiseQL's may have mutations alone.
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
    """Refuses pages whose cursors are not unique.

    Raises:
        SchemaInvalid: naming the query.
    """
    for n, one in enumerate(schema.compiled.queries):
        cursor = one.relay_cursor_column or "id"
        name = one.return_type.name
        if one.relay and not schema.is_unique(name, cursor) and "id" not in schema.fields(name):
            raise SchemaInvalid(
                f"{cursor} may be the same in several rows, and {name} has no field id that "
                f"distinguishes them - at `$.queries[{n}].relay_cursor_column`"
            )
