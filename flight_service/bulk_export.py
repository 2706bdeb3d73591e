"""`BulkExport` tickets: a relation, an asset or a query as one file in chunks, or as Arrow rows."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from flight_service.access import SQL, check_scope
from flight_service.assets import BY_TABLE, Asset
from flight_service.authentication import Principal
from flight_service.columns import selected
from flight_service.errors import InvalidRequest
from flight_service.flights import Flight
from flight_service.formats import ARROW, CSV, NDJSON, PARQUET, Format
from flight_service.sql.catalogue import Catalogue, Relation
from flight_service.sql.selection import Selection
from flight_service.tickets import Named, Ticket, shown
from flight_service.views import Count, ViewFlights, check_raw_sql, executed, limited
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import BY_KEY
from fraiseql_assets.iterators import close_iterator

CHUNK_BYTES = 2**20
FORMATS = {
    "parquet": PARQUET,
    "csv": CSV,
    "ndjson": NDJSON,
    # FraiseQL's `json` has one object per line.
    "json": NDJSON,
    "arrow": ARROW,
}


class BulkExport(Ticket, frozen=True):
    """The rows of `table`: a relation, an asset or a query by name."""

    table: str
    filter: str | None = None
    limit: Count | None = None
    format: str | None = None
    """`parquet`, which is the default, `csv`, `ndjson`, `json` or `arrow`."""


class ExportFlights:
    """The flights of `BulkExport` tickets."""

    def __init__(
        self,
        views: ViewFlights,
        analytics: Catalogue | None,
        resolve: Callable[[Ticket, Principal], Flight],
        named: Named,
        *,
        raw_sql: bool,
        is_guarded: bool,
    ) -> None:
        """`resolve` returns the flights of other tickets, `named` the tickets of names."""
        self._views, self._analytics = views, analytics
        self._resolve, self._named = resolve, named
        self._raw_sql, self._is_guarded = raw_sql, is_guarded

    def resolve(self, ticket: BulkExport, principal: Principal) -> Flight:
        """The flight of a ticket; see `flight_service.flights.Resolver`."""
        format = file_format(ticket)
        rows = self._rows(ticket, principal)
        if ticket.columns is not None:
            rows = selected(rows, ticket.columns)
        return rows if format is ARROW else file_of(rows, format)

    def _rows(self, ticket: BulkExport, principal: Principal) -> Flight:
        key = BY_TABLE.get(ticket.table, ticket.table)
        if key in BY_KEY:
            return self._asset(key, ticket, principal)
        selection = Selection(ticket.filter, limit=ticket.limit)
        relation = self._views.relation(ticket.table, principal)
        if relation is not None:
            return self._views.selected(relation, selection, ticket.columns, principal)
        query = self._named(ticket.table, {})
        if ticket.filter is not None:
            raise InvalidRequest(
                f"{shown(ticket.table)} is no relation that a filter could select from. Put the "
                "conditions into a GraphQL query."
            )
        return _limited(self._resolve(query, principal), ticket.limit)

    def _asset(self, key: str, ticket: BulkExport, principal: Principal) -> Flight:
        rows = self._resolve(Asset(asset=key), principal)
        if ticket.filter is None:
            return _limited(rows, ticket.limit)
        check_raw_sql(self._raw_sql, "A filter")
        check_scope(principal, SQL, "A filter", is_guarded=self._is_guarded)
        relation = self._relation(key, principal)
        if relation is None or self._analytics is None:
            raise InvalidRequest(
                f"{key} cannot be filtered: only relations and assets of the analytics plane can."
            )
        selection = Selection(ticket.filter, limit=ticket.limit)
        names = relation.columns.names
        return executed(self._analytics, relation, selection, names, principal, rows.schema)

    def _relation(self, key: str, principal: Principal) -> Relation | None:
        if self._analytics is None or BY_TABLE.get(BY_KEY[key].table) != key:
            return None
        relations = self._analytics.relations(principal)
        return next((one for one in relations if one.name == BY_KEY[key].table), None)


def file_format(ticket: BulkExport) -> Format:
    """The format in a ticket.

    Raises:
        InvalidRequest: there is no format of that name.
    """
    name = (ticket.format or PARQUET.name).lower()
    if name not in FORMATS:
        raise InvalidRequest(
            f"The ticket's field format is {shown(name)}. It is one of {', '.join(FORMATS)}."
        )
    return FORMATS[name]


def file_of(rows: Flight, format: Format) -> Flight:
    """The rows as a file, in consecutive chunks of bytes."""
    about: dict[str, Any] = {"format": format.name, "media_type": format.media_type}
    schema = pa.schema(
        [pa.field("chunk", pa.binary(), nullable=False)],
        {name: str(value) for name, value in about.items()},
    )

    def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        return _chunks(format.pieces(rows.schema, rows.stream(cancellation), None), schema)

    return Flight(schema, stream, about={**rows.about, **about}, asset=rows.asset)


def _chunks(pieces: Iterator[bytes], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    held = bytearray()
    try:
        for piece in pieces:
            held += piece
            while len(held) >= CHUNK_BYTES:
                yield _chunk(held[:CHUNK_BYTES], schema)
                del held[:CHUNK_BYTES]
        if held:
            yield _chunk(held, schema)
    finally:
        close_iterator(pieces)


def _chunk(data: bytes | bytearray, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([bytes(data)], pa.binary())], schema)


def _limited(flight: Flight, rows: int | None) -> Flight:
    return flight if rows is None else limited(flight, rows)
