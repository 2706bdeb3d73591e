"""Types of a flight: schema, extent, endpoints, stream.

To add a ticket type, write a class, a resolver that returns a `Flight`, and a line in
`flight_service.registry`.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.tickets import Ticket
from fraiseql_assets.cancellation import Cancellation


@dataclass(frozen=True, slots=True)
class Part:
    """One endpoint of a flight: a ticket for a part of the rows."""

    ticket: Ticket
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about the part, sent as the endpoint's `app_metadata`."""
    expires: datetime | None = None
    """When it expires; None if it does not."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a flight, as far as it is known without reading the rows."""

    rows: int | None = None
    bytes: int | None = None
    """Bytes as the server counts them."""
    parts: tuple[Part, ...] = ()
    """Empty if the flight's own ticket is its only endpoint."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON values about the flight, sent as its `app_metadata`."""


def no_extent(cancellation: Cancellation) -> Extent:
    """The extent of a flight about whose size nothing is known."""
    return Extent()


@dataclass(frozen=True, slots=True)
class Flight:
    """A result. Its schema is known before a server is asked."""

    schema: pa.Schema
    stream: Callable[[Cancellation], Iterator[pa.RecordBatch]]
    """Starts the work and yields batches of exactly `schema`. Closing the iterator ends the work.
    Work that waits for a server registers `Cancellation.then` to end the wait."""
    extent: Callable[[Cancellation], Extent] = no_extent
    """Asks the server, which the cancellation ends. An error is raised then."""
    extent_key: Hashable | None = None
    """Flights with the same key have the same extent, so concurrent calls share one request. The
    key includes everything that the extent depends on, such as the tenant."""
    is_endless: bool = False
    """Whether it streams until its client disconnects. A service that stops does not wait for
    it."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that are known without a request to a server, sent with `Extent.about`."""
    asset: str | None = None
    """The only asset whose rows it depends on, so that the asset's ledger shows when they
    change."""


Resolver = Callable[[Any, Principal], Flight]
"""Returns the flight of a ticket for a principal. Sends no request to a server.

Raises:
    InvalidRequest: the ticket contradicts itself.
    UnknownName: it has an unknown name.
    Forbidden: the principal may not read it.
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A flight that ListFlights shows."""

    name: str
    """The only element of its descriptor's path, because some clients show no more."""
    ticket: Ticket
    flight: Flight | None = None
    """The flight, if it differs from the ticket's, for example in its extent."""


Listing = Callable[[Principal], list[Listed]]
"""The flights that ListFlights shows a principal."""
