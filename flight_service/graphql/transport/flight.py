"""GraphQL over Flight: the ticket, its flight, and the actions on the compiled schema."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.actions import Action
from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.errors import UNAVAILABLE, Forbidden, ServiceError, UnknownName
from flight_service.flights import Extent, Flight, Listed, Part
from flight_service.graphql.service import GraphQL, Prepared, Request
from flight_service.graphql.transport.shorthand import NAME as SHORT
from flight_service.graphql.transport.shorthand import shorthand
from flight_service.tickets import Named, Ticket, shown
from fraiseql_assets.catalogue import BY_KEY

ADMIN = "admin"
"""The scope that changing the service takes."""


class GraphQLQuery(Ticket, frozen=True):
    """The result of a GraphQL query: the rows of its one field, or one row of all its fields."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(default=None, name="operationName")
    field: str | None = None
    """The field, by its key in the response, whose rows are wanted alone."""


class GraphQLPart(Ticket, frozen=True):
    """One of the endpoints that GetFlightInfo offers for a large list, as that names it."""

    handle: str
    part: int


class GraphQLFlights:
    """Makes flights of GraphQL tickets."""

    def __init__(self, graphql: GraphQL) -> None:
        self._graphql = graphql

    def resolve(self, ticket: GraphQLQuery, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`.

        Of the database it asks, once for each compiled schema, what the relations look like.
        """
        request = Request(ticket.query, ticket.variables or {}, ticket.operation_name)
        prepared = self._graphql.prepare(request, principal)
        schema = self._graphql.schema(prepared, ticket.field)

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            return self._graphql.batches(prepared, ticket.field, cancellation)

        if ticket.endpoints == 1:
            return Flight(schema, stream)
        return Flight(schema, stream, lambda: self._extent(prepared, ticket.field))

    def resolve_part(self, ticket: GraphQLPart, principal: Principal) -> Flight:
        """The flight of an endpoint; see `flight_service.flights.Resolver`."""
        return Flight(*self._graphql.snapshots.part(ticket.handle, ticket.part, principal))

    def _extent(self, prepared: Prepared, field: str | None) -> Extent:
        offered = self._graphql.parts(prepared, field)
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
        """Also takes the name of a query of the schema, or a whole document, for a short form."""

        def named(name: str, variables: Mapping[str, Any]) -> Ticket:
            if "{" in name:
                return GraphQLQuery(query=name, variables=dict(variables))
            names = shorthand(self._graphql.registry) if SHORT.match(name) else None
            document = names and names.document(name, variables)
            if document:
                return GraphQLQuery(query=document, variables=dict(variables))
            if names and name not in BY_KEY:
                raise UnknownName(
                    f"There is no {shown(name)}. {names.told()} Assets: {', '.join(BY_KEY)}."
                )
            return otherwise(name, variables)

        return named

    def listing(self, principal: Principal) -> list[Listed]:
        """Every query that the principal may ask as it is, and every relation that one lists. None
        while there is no schema, or the database cannot be asked."""
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
                # What a principal may not ask, or not without arguments, is not offered.
                continue
            # How large each is, is not looked at here.
            listed.append(Listed(name, ticket, replace(found, extent=Extent)))
        return listed

    def actions(self) -> tuple[Action, ...]:
        """What may be asked of the compiled schema."""
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
                "Clears the planned queries: success, message.",
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
        count = self._graphql.clear_cache()
        return {"success": True, "message": f"{count} planned queries are cleared."}

    def _check_admin(self, principal: Principal) -> None:
        """Refuses who may not change the service. Without a secret nobody can be told apart."""
        if self._graphql.is_guarded and ADMIN not in principal.scopes:
            raise Forbidden(f"This needs a token with the scope {ADMIN!r}.")
