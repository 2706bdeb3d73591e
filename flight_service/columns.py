"""Selects columns of a flight, for tickets of every type."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.flights import Extent, Flight, Resolver, no_extent
from flight_service.tickets import shown
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

_SHOWN = 50


def with_columns(resolve: Resolver) -> Resolver:
    """A resolver whose flights have only the columns in their tickets."""

    def resolve_columns(ticket: Any, principal: Principal) -> Flight:
        flight = resolve(ticket, principal)
        return flight if ticket.columns is None else selected(flight, ticket.columns)

    return resolve_columns


def selected(flight: Flight, columns: tuple[str, ...]) -> Flight:
    """The flight, and its endpoints, with only these columns in this order.

    Raises:
        InvalidRequest: a column is missing or named twice, or the list is empty.
    """
    names = flight.schema.names
    if tuple(names) == columns:
        return flight
    for name in columns:
        if name not in names:
            raise InvalidRequest(f"There is no column {shown(name)}. There are: {_some(names)}.")
    if not columns or len(set(columns)) < len(columns):
        raise InvalidRequest("The ticket's field columns names at least one column, and each once.")
    schema = pa.schema([flight.schema.field(name) for name in columns], flight.schema.metadata)

    def stream(cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        return _selected(flight.stream(cancellation), columns)

    def extent(cancellation: Cancellation) -> Extent:
        found = flight.extent(cancellation)
        parts = tuple(
            replace(part, ticket=msgspec.structs.replace(part.ticket, columns=columns))
            for part in found.parts
        )
        return replace(found, parts=parts)

    found = no_extent if flight.extent is no_extent else extent
    return replace(flight, schema=schema, stream=stream, extent=found)


def _selected(
    batches: Iterator[pa.RecordBatch], columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            yield batch.select(list(columns))
    finally:
        close_iterator(batches)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN]) or 'none'}{more}"
