"""`BatchedQueries` tickets: several SQL statements with the grammar of Flight SQL."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

import msgspec
import pyarrow as pa

from flight_service.access import SQL, check_scope
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.flights import Extent, Flight, Part
from flight_service.sql.catalogue import Catalogue, Execution
from flight_service.sql.planning import Defaults, plan
from flight_service.tickets import Ticket
from flight_service.views import check_raw_sql
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

MOST = 100


class BatchedQueries(Ticket, frozen=True):
    """The rows of several statements, one after another. Each statement has its own endpoint."""

    queries: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class BatchedFlights:
    """The flights of `BatchedQueries` tickets."""

    def __init__(self, catalogues: Sequence[Catalogue], *, raw_sql: bool, is_guarded: bool) -> None:
        """With `raw_sql`, tickets may contain SQL. With `is_guarded`, principals are identified by
        tokens."""
        self._catalogues = catalogues
        self._raw_sql = raw_sql
        self._is_guarded = is_guarded

    def resolve(self, ticket: BatchedQueries, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`. Requests the schemas of
        the results from the engines."""
        check_raw_sql(self._raw_sql, "A ticket of type BatchedQueries")
        check_scope(principal, SQL, "BatchedQueries", is_guarded=self._is_guarded)
        executions = [self._execution(n, text, principal) for n, text in enumerate(ticket.queries)]
        schemas = [one.schema for one in executions]
        other = next((n for n, one in enumerate(schemas) if not one.equals(schemas[0])), None)
        extent = partial(_extent, ticket, schemas)
        if other is None:
            return Flight(schemas[0], partial(_batches, executions), extent)
        differs = InvalidRequest(
            f"The queries give different columns: the first {_shown(schemas[0])}, number "
            f"{other + 1} {_shown(schemas[other])}. One stream has one schema. Read the endpoints "
            "that GetFlightInfo gives, one for each query."
        )
        if ticket.endpoints == 1:
            raise differs

        def refuse(_: Cancellation) -> Iterator[pa.RecordBatch]:
            raise differs

        return Flight(pa.schema([]), refuse, extent)

    def _execution(self, number: int, text: str, principal: Principal) -> Execution:
        try:
            return plan(text, self._catalogues, principal, Defaults()).execution(principal)
        except InvalidRequest as error:
            raise InvalidRequest(f"Query {number + 1}: {error}") from error


def _extent(ticket: BatchedQueries, schemas: Sequence[pa.Schema], _: Cancellation) -> Extent:
    if len(schemas) == 1:
        return Extent()
    return Extent(
        parts=tuple(
            Part(
                BatchedQueries(queries=(text,)),
                {
                    "query": number,
                    "columns": [{"name": one.name, "type": str(one.type)} for one in schema],
                },
            )
            for number, (text, schema) in enumerate(zip(ticket.queries, schemas, strict=True))
        )
    )


def _batches(
    executions: Sequence[Execution], cancellation: Cancellation
) -> Iterator[pa.RecordBatch]:
    for execution in executions:
        batches = execution.batches(cancellation)
        try:
            yield from batches
        finally:
            close_iterator(batches)
        if cancellation.over:
            return


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{one.name} ({one.type})" for one in schema)
