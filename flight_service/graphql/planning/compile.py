"""Compiles an operation: each root field to one SQL statement over the fastest source there is."""

from collections.abc import Callable

from flight_service.authentication import Principal
from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.planning.access import Access, access_of
from flight_service.graphql.planning.introspection import constant_roots
from flight_service.graphql.planning.plan import Choice, RootStatement, StatementPlan
from flight_service.graphql.planning.root_query import (
    RootQuery,
    RootResolver,
    located,
    root_types,
)
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.planning.statement import StatementWriter
from flight_service.graphql.request.selection import Operation
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.ctid_ranges import CtidRange
from flight_service.graphql.sources.source import Sources, relation_of
from flight_service.graphql.sources.values import NotCovered


def compile_plan(
    schema: Schema,
    sources: Callable[[str], Sources],
    operation: Operation,
    principal: Principal,
    limit: RowLimit,
    ctids: CtidRange | None = None,
) -> StatementPlan:
    """Compiles the roots of a query. `sources` returns the sources of a query of the schema; of
    roots that can be divided, `ctids` selects a part.

    Raises:
        QueryRefused: an argument cannot be used as it is, or no source has a field.
        NotAuthorised: the principal lacks a role, scope or claim.
    """
    access = access_of(schema, principal)
    resolver = RootResolver(schema, access, principal, limit)
    constants = constant_roots(schema, operation, access)
    return StatementPlan(
        tuple(
            constants[root.key]
            if root.key in constants
            else _compiled(schema, sources, resolver.resolve(root), access, ctids)
            for root in operation.roots
        )
    )


def _compiled(
    schema: Schema,
    sources: Callable[[str], Sources],
    root: RootQuery,
    access: Access,
    ctids: CtidRange | None,
) -> RootStatement:
    """The statement over the first source that has everything the root needs."""
    name = root.query.name
    known = sources(name)
    types = root_types(schema, root, access, known.arrow_types)
    left_out = list(known.notes[name])
    with located(root.root):
        for source in known.by_query[name]:
            try:
                writer = StatementWriter(schema, access, root, types, source, ctids)
                return writer.statement(Choice(source.name, source.how, tuple(left_out)))
            except NotCovered as reason:
                left_out.append(f"{source.how} {source.name}: {reason}")
        advice = "The action RefreshSchemaRegistry looks again."
        if name in known.missing:
            advice = (
                "If its data are still being loaded, ask again when they are; "
                "what is missing is looked for again."
            )
        raise QueryRefused(
            f"{name} cannot be read from {relation_of(schema, root.query)}: "
            f"{'; '.join(left_out)}. {advice}"
        )
