"""Introspection: the schema as a principal may use it, within limits."""

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
from flight_service.graphql.planning.result import ConstantResult
from flight_service.graphql.request.selection import Operation, Root
from flight_service.graphql.schema.compiled import Compiled, Field, Query, Ref
from flight_service.graphql.schema.graphql_schema import Schema, build_schema

MOST_BYTES = 16 * 2**20
"""How large the introspection of one operation may be."""
REMEMBERED = 32
"""For how many kinds of principals a schema is remembered as they may use it."""


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
            if size > MOST_BYTES:
                raise LimitExceeded(
                    f"Introspection answers at most {MOST_BYTES:,} bytes in one operation."
                )
            constants[root.key] = ConstantResult(root.key, ConstantType(text, json=True))
    return constants


def visible(schema: Schema, access: Access) -> GraphQLSchema:
    """The schema without what the principal may not use.

    Raises:
        NotAuthorised: nothing is left.
    """
    found = schema.visible.get(access)
    if found is None:
        found = _visible(schema, access)
        if len(schema.visible) >= REMEMBERED:
            schema.visible.clear()
        schema.visible[access] = found
    return found


def usable_queries(schema: Schema, access: Access) -> list[Query]:
    """The queries that a principal may ask."""
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

    # Hiding a type's last field hides the type, and with it the fields that are of it.
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
        # Names of queries alone may be hidden.
        left = _permitted(schema, access, hidden)
        if left == compiled:
            return schema.graphql
    left = _permitted(schema, access, hidden)
    if not left.queries:
        raise NotAuthorised("Nothing of this schema is for this principal.")
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
    return build_schema(left).graphql


def _hidden_by_role(schema: Schema, access: Access) -> set[str]:
    """The types that a principal may not see; an interface or union with such a member is one."""
    hidden = {name for name in schema.types if not _permits(access.check_type, schema, name)}
    return hidden | {
        name
        for name in (*schema.interfaces, *schema.unions)
        if not hidden.isdisjoint(schema.possible(name))
    }


def _permitted(schema: Schema, access: Access, hidden: set[str]) -> Compiled:
    compiled = schema.compiled

    def usable(of: Ref) -> bool:
        return of.base not in hidden

    return msgspec.structs.replace(
        compiled,
        queries=tuple(
            one
            for one in compiled.queries
            if usable(one.return_type) and _permits(access.check_query, schema.queries[one.name])
        ),
        mutations=tuple(one for one in compiled.mutations if usable(one.return_type)),
        subscriptions=tuple(one for one in compiled.subscriptions if usable(one.return_type)),
    )


def _permits_field(schema: Schema, access: Access, owner: str, name: str) -> bool:
    return _permits(lambda: access.check_declarations(schema, owner, name, shown=True))


def _permits(check: Any, *given: Any) -> bool:
    try:
        check(*given)
    except NotAuthorised:
        return False
    return True
