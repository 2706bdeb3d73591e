"""Whether a query's result may be cached, for how long, and what it depends on: entities, and of a
principal."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import get_named_type

from flight_service.authentication import Principal
from flight_service.graphql.request.selection import Operation, Root, Selected
from flight_service.graphql.schema.compiled import Query
from flight_service.graphql.schema.graphql_schema import Schema

VOLATILE = frozenset(("exp", "iat", "jti", "nbf"))
"""Claims that say when and how often a token was issued, not for whom."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a result stays valid."""

    seconds: int
    entities: frozenset[str]
    """The types whose events end it before that, in lower case."""


def lifetime_of(schema: Schema, operation: Operation) -> Lifetime | None:
    """The lifetime of an operation's result; None unless all of its queries may be cached."""
    seconds: int | None = None
    for root in operation.roots:
        query = schema.queries.get(root.name)
        if query is None or not query.cache_ttl_seconds:
            return None
        seconds = min(seconds or query.cache_ttl_seconds, query.cache_ttl_seconds)
    if seconds is None:
        return None
    names = {
        name.lower()
        for root in operation.roots
        for name in _entities(schema, root, schema.queries[root.name])
    }
    return Lifetime(seconds, frozenset(names))


def _entities(schema: Schema, root: Root, query: Query) -> Iterator[str]:
    """The types that a root's rows are made of or selected by, with types of additional views."""
    yield from schema.possible(query.return_type.base)
    yield from _selected(schema, root.selected)
    yield from _named(schema, query.return_type.base, root.arguments)
    of_views = {one.sql_source: one.name for one in schema.types.values()}
    yield from (of_views.get(view, view) for view in query.additional_views)


def _selected(schema: Schema, selected: Selected) -> Iterator[str]:
    for child in selected.children:
        if child.children:
            yield from schema.possible(get_named_type(child.type).name)
        yield from _selected(schema, child)


def _named(schema: Schema, type_name: str, given: Any) -> Iterator[str]:
    """The types of the fields that conditions and orders name."""
    if isinstance(given, list):
        for one in given:
            yield from _named(schema, type_name, one)
    elif isinstance(given, Mapping):
        fields = schema.fields(type_name)
        for key, value in given.items():
            of = fields[key].field_type.base if key in fields else type_name
            if schema.fields(of):
                yield from schema.possible(of)
                yield from _named(schema, of, value)


def identity_of(principal: Principal, *, is_guarded: bool) -> bytes:
    """What a result depends on of a principal: policies of row security may read every claim. Where
    no tokens are checked, only the FraiseQL server behind knows whose a token is."""
    claims = {name: one for name, one in principal.claims.items() if name not in VOLATILE}
    token = None if is_guarded else principal.authorization
    who = [principal.subject, principal.tenant, principal.roles, principal.scopes, claims, token]
    return hashlib.sha256(msgspec.json.encode(who, order="deterministic")).digest()
