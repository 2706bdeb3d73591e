"""Introspection of the part of the schema that a principal may use."""

from collections.abc import Iterable
from typing import Any

import msgspec
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
)

from flight_service.graphql.arrow.result_types import TYPENAME, ConstantType
from flight_service.graphql.errors import LimitExceeded, NotAuthorised, QueryRefused
from flight_service.graphql.planning.access import Access
from flight_service.graphql.planning.referenced import without_unreferenced
from flight_service.graphql.planning.result import ConstantResult
from flight_service.graphql.request.selection import Operation, Root
from flight_service.graphql.schema.compiled import (
    Compiled,
    Field,
    Query,
    UnexecutedOperation,
    roles,
)
from flight_service.graphql.schema.graphql_schema import Schema, build_schema

MAX_BYTES = 16 * 2**20
"""The limit of the introspection results of one operation."""
MAX_VISIBLE = 32
"""The number of principals' views of a schema that are cached."""


def constant_roots(
    schema: Schema, operation: Operation, access: Access
) -> dict[str, ConstantResult]:
    """The roots of an operation that no backend reads, by key: `__typename` and introspection.

    Raises:
        QueryRefused: graphql-core finds an error in introspection that only executing it shows.
        LimitExceeded: the result of introspection is too large.
        NotAuthorised: the principal may use nothing of the schema.
    """
    constants: dict[str, ConstantResult] = {}
    size = 0
    for root in operation.roots:
        if root.name == TYPENAME:
            constants[root.key] = ConstantResult(root.key, ConstantType("Query"))
        elif root.name.startswith("__"):
            found = _executed(visible(schema, access), operation, root)[root.key]
            text = msgspec.json.encode(found).decode()
            size += len(text)
            if size > MAX_BYTES:
                raise LimitExceeded(
                    f"The result of introspection has at most {MAX_BYTES:,} bytes in one operation."
                )
            constants[root.key] = ConstantResult(root.key, ConstantType(text, json=True))
    return constants


def visible(schema: Schema, access: Access) -> GraphQLSchema:
    """The part of the schema that a principal may use.

    Raises:
        NotAuthorised: it is empty.
    """
    found = schema.visible.get(access)
    if found is None:
        found = _visible(schema, access)
        if len(schema.visible) >= MAX_VISIBLE:
            schema.visible.clear()
        schema.visible[access] = found
    return found


def hides_names(schema: Schema, access: Access) -> bool:
    """Whether the schema has names that a principal may not see."""
    try:
        return visible(schema, access) is not schema.graphql
    except NotAuthorised:
        return True


def usable_queries(schema: Schema, access: Access) -> list[Query]:
    """The queries that a principal may use."""
    hidden = _hidden_by_role(schema, access)
    return [
        one
        for one in schema.queries.values()
        if one.return_type.base not in hidden and _permits(access.check_query, one)
    ]


def _executed(schema: GraphQLSchema, operation: Operation, root: Root) -> dict[str, Any]:
    fragments = [
        one for one in operation.document.definitions if isinstance(one, FragmentDefinitionNode)
    ]
    alone = OperationDefinitionNode(
        operation=OperationType.QUERY,
        variable_definitions=operation.definition.variable_definitions,
        selection_set=SelectionSetNode(selections=root.nodes),
    )
    result = execute_sync(
        schema,
        DocumentNode(definitions=(alone, *fragments)),
        variable_values=dict(operation.variables),
    )
    if result.errors:
        raise QueryRefused.of(result.errors)
    return result.data or {}


def _visible(schema: Schema, access: Access) -> GraphQLSchema:
    compiled = schema.compiled
    hidden = _hidden_by_role(schema, access)

    def fields(owner: str, every: Iterable[Field]) -> tuple[Field, ...]:
        return tuple(
            one
            for one in every
            if one.field_type.base not in hidden and _permits_field(schema, access, owner, one.name)
        )

    # A type without visible fields is hidden, and so are the fields of that type.
    while emptied := {
        one.name
        for one in (*compiled.types, *compiled.interfaces)
        if one.name not in hidden and not fields(one.name, one.fields)
    } | {
        one.name
        for one in compiled.unions
        if one.name not in hidden and hidden.issuperset(one.member_types)
    }:
        hidden |= emptied
    if not hidden and all(
        len(fields(one.name, one.fields)) == len(one.fields)
        for one in (*compiled.types, *compiled.interfaces)
    ):
        # Perhaps only queries are hidden.
        left = _permitted(schema, access, hidden)
        if left == compiled:
            return schema.graphql
    left = _permitted(schema, access, hidden)
    if not left.queries:
        raise NotAuthorised("This principal may use nothing of this schema.")
    left = msgspec.structs.replace(
        left,
        types=tuple(
            msgspec.structs.replace(
                one,
                fields=fields(one.name, one.fields),
                implements=tuple(name for name in one.implements if name not in hidden),
            )
            for one in compiled.types
            if one.name not in hidden
        ),
        interfaces=tuple(
            msgspec.structs.replace(one, fields=fields(one.name, one.fields))
            for one in compiled.interfaces
            if one.name not in hidden
        ),
        unions=tuple(
            msgspec.structs.replace(
                one, member_types=tuple(name for name in one.member_types if name not in hidden)
            )
            for one in compiled.unions
            if one.name not in hidden
        ),
    )
    return build_schema(without_unreferenced(left, compiled)).graphql


def _hidden_by_role(schema: Schema, access: Access) -> set[str]:
    """The types that a principal may not see, and the interfaces and unions that have one of
    them."""
    hidden = {name for name in schema.types if not _permits(access.check_type, schema, name)}
    return hidden | {
        name
        for name in (*schema.interfaces, *schema.unions)
        if not hidden.isdisjoint(schema.possible(name))
    }


def _permitted(schema: Schema, access: Access, hidden: set[str]) -> Compiled:
    compiled = schema.compiled

    def usable(one: Query | UnexecutedOperation) -> bool:
        return one.return_type.base not in hidden and _permits(
            access.check_roles, one.name, roles(one.requires_role)
        )

    return msgspec.structs.replace(
        compiled,
        queries=tuple(
            one for one in compiled.queries if usable(one) and _permits(access.check_query, one)
        ),
        mutations=tuple(filter(usable, compiled.mutations)),
        subscriptions=tuple(filter(usable, compiled.subscriptions)),
    )


def _permits_field(schema: Schema, access: Access, owner: str, name: str) -> bool:
    return _permits(lambda: access.check_declarations(schema, owner, name, shown=True))


def _permits(check: Any, *given: Any) -> bool:
    try:
        check(*given)
    except NotAuthorised:
        return False
    return True
