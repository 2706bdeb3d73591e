"""What a ticket stands for: a flight, whose schema is known before anything is asked of a server.

A kind of ticket is a class, a resolver that makes a `Flight` of it, and a line in
`flight_service.registry`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.tickets import Ticket


@dataclass(frozen=True, slots=True)
class Part:
    """One endpoint of a flight: a ticket whose result is a part of the whole."""

    ticket: Ticket
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, in JSON values; travels as the endpoint's `app_metadata`."""
    expires: datetime | None = None
    """Until when it can be read, where that is limited."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a flight is, as far as that is known without reading it."""

    rows: int | None = None
    bytes: int | None = None
    """As its own server counts them."""
    parts: tuple[Part, ...] = ()
    """Empty where the flight's own ticket is its one endpoint."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, in JSON values; travels as the flight's `app_metadata`."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A result that can be described and streamed."""

    schema: pa.Schema
    stream: Callable[[Cancellation], Iterator[pa.RecordBatch]]
    """Begins the work and yields batches of exactly `schema`. Closing the iterator ends the work;
    work that waits on a server has `Cancellation.then` end the wait."""
    extent: Callable[[], Extent] = Extent
    is_endless: bool = False
    """Whether it streams until its client goes away. A service that stops does not wait for it."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it without asking anyone; travels with `Extent.about`."""


Resolver = Callable[[Any, Principal], Flight]
"""Makes the flight of a ticket for a principal. Asks no server.

Raises:
    InvalidRequest: the ticket names what is not there, or contradicts itself.
    Forbidden: the principal may not have it.
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A flight that ListFlights shows."""

    path: tuple[str, ...]
    ticket: Ticket
    flight: Flight | None = None
    """The flight itself, where it is shown without what the ticket's would be asked for."""


Listing = Callable[[Principal], list[Listed]]
"""The flights to show a principal."""
