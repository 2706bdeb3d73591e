"""GraphQL over Flight: the ticket, its flight, and the actions on the compiled schema."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa
from pyarrow import flight

from flight_service.actions import Action
from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.errors import Forbidden, InvalidRequest
from flight_service.flights import Extent, Flight, Listed, Part
from flight_service.graphql.errors import (
    Cancelled,
    DatabaseUnavailable,
    DeadlinePassed,
    GraphQLFailure,
    NotAuthorised,
    QueryRefused,
    SchemaUnavailable,
    ServerUnavailable,
)
from flight_service.graphql.service import GraphQL, Prepared, Request
from flight_service.graphql.transport.shorthand import NAME as SHORT
from flight_service.graphql.transport.shorthand import shorthand
from flight_service.tickets import Named, Ticket, shown
from fraiseql_assets.catalogue import BY_KEY


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
        with as_call_errors():
            prepared = self._graphql.prepare(request, principal)
            schema = self._graphql.schema(prepared, ticket.field)

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            with as_call_errors():
                yield from self._graphql.batches(prepared, ticket.field, cancellation)

        return Flight(schema, stream, lambda: self._extent(prepared, ticket.field))

    def resolve_part(self, ticket: GraphQLPart, principal: Principal) -> Flight:
        """The flight of an endpoint; see `flight_service.flights.Resolver`."""
        with as_call_errors():
            plan, read = self._graphql.snapshots.part(ticket.handle, ticket.part, principal)

        def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
            with as_call_errors():
                yield from read(cancellation)

        return Flight(plan.statements[0].schema, stream)

    def _extent(self, prepared: Prepared, field: str | None) -> Extent:
        with as_call_errors():
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
            with as_call_errors():
                document = names and names.document(name, variables)
            if document:
                return GraphQLQuery(query=document, variables=dict(variables))
            if names and name not in BY_KEY:
                raise InvalidRequest(
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
            # What a principal may not ask, or not without arguments, is not offered.
            with suppress(InvalidRequest, Forbidden, flight.FlightInternalError):
                ticket = GraphQLQuery(query=names.document(name, {}) or "")
                try:
                    found = self.resolve(ticket, principal)
                except flight.FlightUnavailableError:
                    break
                # How large each is, is not looked at here.
                listed.append(Listed((name,), ticket, replace(found, extent=Extent)))
        return listed

    def actions(self) -> tuple[Action, ...]:
        """What may be asked of the compiled schema."""
        return (
            Action(
                "RefreshSchemaRegistry",
                "Reads the compiled schema and the database's catalogue again: success, message.",
                lambda body, principal: self._refresh(),
            ),
            Action(
                "GetSchemaVersions",
                "The relations that the compiled schema in use reads: schemas, count.",
                lambda body, principal: self._versions(),
            ),
            Action(
                "ClearCache",
                "Forgets the queries that have been planned: success, message.",
                lambda body, principal: self._clear(),
            ),
        )

    def _refresh(self) -> dict[str, Any]:
        success, message = self._graphql.registry.refresh()
        return {"success": success, "message": message}

    def _versions(self) -> dict[str, Any]:
        with as_call_errors():
            schemas = self._graphql.versions()
        return {"schemas": schemas, "count": len(schemas)}

    def _clear(self) -> dict[str, Any]:
        count = self._graphql.forget()
        return {"success": True, "message": f"{count} planned queries are forgotten."}


@contextmanager
def as_call_errors() -> Iterator[None]:
    """Turns what GraphQL raises into what the service raises, with the same sentence."""
    try:
        yield
    except NotAuthorised as failure:
        raise Forbidden(failure.message) from failure
    except QueryRefused as failure:
        raise InvalidRequest(_all_of(failure)) from failure
    except GraphQLFailure as failure:
        # Arrow ends the message itself.
        raise _flight_error(failure)(failure.message.removesuffix(".")) from failure


def _flight_error(failure: GraphQLFailure) -> type[flight.FlightError]:
    match failure:
        case DatabaseUnavailable() | SchemaUnavailable() | ServerUnavailable():
            return flight.FlightUnavailableError
        case DeadlinePassed():
            return flight.FlightTimedOutError
        case Cancelled():
            return flight.FlightCancelledError
    return flight.FlightInternalError


def _all_of(failure: QueryRefused) -> str:
    where = ""
    if failure.locations:
        line, column = failure.locations[0]
        where = f" (line {line}, column {column})"
    more = f" And {len(failure.others)} more." if failure.others else ""
    return f"{failure.message.rstrip('.')}{where}.{more}"
