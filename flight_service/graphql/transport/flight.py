"""GraphQL over Flight: tickets, their flights, and actions on the compiled schema."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.actions import Action
from flight_service.assets import BY_TABLE
from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE, Forbidden, ServiceError, UnknownName
from flight_service.flights import Extent, Flight, Listed, Part, no_extent
from flight_service.graphql.service import GraphQL, Prepared, Request
from flight_service.graphql.transport.shorthand import NAME as SHORT
from flight_service.graphql.transport.shorthand import shorthand
from flight_service.tickets import Named, Ticket, shown
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY

ADMIN = "admin"
"""The scope that actions which change the service require."""


class GraphQLQuery(Ticket, frozen=True):
    """The result of a GraphQL query: the rows of its one field, or one row of all its fields."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
    field: str | None = None
    """The response key of the root field whose rows are returned; all root fields if None."""


class GraphQLPart(Ticket, frozen=True):
    """One of the endpoints that GetFlightInfo returns for a large list."""

    handle: str
    part: int


class GraphQLFlights:
    """Makes flights of GraphQL tickets."""

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql

    def resolve(self, ticket: GraphQLQuery, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`.

        Reads the database's catalogue, once for each compiled schema.
        """
        request = Request(ticket.query, ticket.variables or {}, ticket.operation_name)
        prepared = self._graphql.prepare(request, principal)
        schema = self._graphql.schema(prepared, ticket.field)

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return self._graphql.batches(prepared, ticket.field, cancellation)

        if ticket.endpoints == 1:
            return Flight(schema, stream)
        return Flight(schema, stream, lambda _: self._extent(prepared, ticket.field))

    def resolve_part(self, ticket: GraphQLPart, principal: Principal) -> Flight:
        """The flight of an endpoint; see `flight_service.flights.Resolver`."""
        return Flight(*self._graphql.postgres.snapshots.part(ticket.handle, ticket.part, principal))

    def _extent(self, prepared: Prepared, field: str | None) -> Extent:
        offered = self._graphql.endpoints(prepared, field)
        if offered is None:
            return Extent()
        parts = tuple(
            Part(
                GraphQLPart(handle=offered.handle, part=number),
                {"part": number, "parts": offered.count},
                offered.expires,
            )
            for number in range(offered.count)
        )
        return Extent(parts=parts, about={"estimated_rows": offered.rows})

    def named(self, otherwise: Named) -> Named:
        """Also accepts the name of a query of the schema, or a document, as a short ticket."""

        def named(name: str, variables: Mapping[str, Any]) -> Ticket:
            if "{" in name:
                return GraphQLQuery(query=name, variables=dict(variables))
            names = shorthand(self._graphql.registry) if SHORT.match(name) else None
            given = names.arguments(name, variables) if names else {}
            document = names and names.document(name, given)
            if document:
                return GraphQLQuery(query=document, variables=given)
            if names and name not in BY_KEY and name not in BY_TABLE:
                raise UnknownName(
                    f"There is no {shown(name)}. {names.summary()} Assets: {', '.join(BY_KEY)}."
                )
            return otherwise(name, variables)

        return named

    def listing(self, principal: Principal) -> list[Listed]:
        """Every query that the principal may run without arguments, and every relation that one
        lists. Empty while there is no schema, or the catalogue cannot be read."""
        names = shorthand(self._graphql.registry)
        if names is None:
            return []
        listed: list[Listed] = []
        for name in (*names.queries, *names.relations):
            try:
                ticket = GraphQLQuery(query=names.document(name, {}) or "")
                found = self.resolve(ticket, principal)
            except ServiceError as error:
                if error.status is UNAVAILABLE:
                    break
                # A query that the principal may not run, or not without arguments, is not listed.
                continue
            # Sizes are not estimated here.
            listed.append(Listed(name, ticket, replace(found, extent=no_extent)))
        return listed

    def actions(self) -> tuple[Action, ...]:
        """The actions on the compiled schema."""
        return (
            Action(
                "RefreshSchemaRegistry",
                "Reads the compiled schema and the database's catalogue again: success, message.",
                lambda body, principal: self._refresh(principal),
            ),
            Action(
                "GetSchemaVersions",
                "The relations that the compiled schema in use reads: schemas, count.",
                lambda body, principal: self._versions(principal),
            ),
            Action(
                "ClearCache",
                "Clears planned queries and cached results: success, message.",
                lambda body, principal: self._clear(principal),
            ),
        )

    def _refresh(self, principal: Principal) -> dict[str, Any]:
        self._check_admin(principal)
        success, message = self._graphql.registry.refresh()
        return {"success": success, "message": message}

    def _versions(self, principal: Principal) -> dict[str, Any]:
        schemas = self._graphql.versions(principal)
        return {"schemas": schemas, "count": len(schemas)}

    def _clear(self, principal: Principal) -> dict[str, Any]:
        self._check_admin(principal)
        plans, results = self._graphql.clear_cache()
        message = f"{plans} planned queries and {results} results are cleared."
        return {"success": True, "message": message}

    def _check_admin(self, principal: Principal) -> None:
        """Refuses principals who may not change the service. Without a secret, all may."""
        if self._graphql.is_guarded and ADMIN not in principal.scopes:
            raise Forbidden(f"This needs a token with the scope {ADMIN!r}.")
