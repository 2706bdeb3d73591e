"""Checks that row security isolates the tenants of a schema."""

from collections.abc import Mapping

from flight_service.graphql.errors import SchemaUnavailable
from flight_service.graphql.postgres.catalogue import Relation
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.source import relation_of
from flight_service.graphql.sources.view_expansion import tables_of


def needs_row_security(schema: Schema, query: Query) -> bool:
    """Whether row security must be enabled for a query: if the schema says that it is, or if the
    schema has several tenants and no claim of the tenant filters the query."""
    security = schema.compiled.security
    if security is None:
        return False
    claim = security.tenancy.tenant_claim
    narrowed = any(
        one.source == "jwt" and one.claim == claim for one in query.inject_params.values()
    )
    return security.rls.enabled or (security.has_tenants and not narrowed)


def is_protected(name: str, relations: Mapping[str, Relation]) -> bool:
    """Whether row security applies to what this service reads from a relation. For a view, it must
    apply to a table that it reads."""
    relation = relations.get(name)
    if relation is None or not relation.is_guarded:
        return False
    if relation.definition is None:
        return True
    within = tables_of(relation.definition)
    views = [one for one in within if one in relations and relations[one].definition is not None]
    guarded = any(is_protected(one, relations) for one in within)
    return guarded and all(relations[one].is_guarded for one in views)


def check_row_security(schema: Schema, relations: Mapping[str, Relation]) -> None:
    """Refuses a schema whose tenants are not isolated, as FraiseQL does.

    Raises:
        SchemaUnavailable: names the relations.
    """
    names = {
        relation_of(schema, query)
        for query in schema.queries.values()
        if needs_row_security(schema, query)
    }
    bare = sorted(one for one in names & relations.keys() if not is_protected(one, relations))
    if bare:
        raise SchemaUnavailable(
            "The compiled schema serves several tenants, and row security is not in force on "
            f"{', '.join(bare)}. Enable row security with a policy on each table, define the views "
            "WITH (security_invoker = true), and let the service's role be neither the owner of "
            "the tables nor one that bypasses row security."
        )
