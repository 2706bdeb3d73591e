"""The Flight service as the command line calls it."""

import json
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import flight

AHEAD = 2


class FlightProblem(Exception):
    """The Flight service did not give what was asked; the message says why and what to do."""


def health(settings: Settings) -> dict[str, str]:
    """What the service says of itself: `status`, `version`, `timestamp`.

    Raises:
        FlightProblem: it does not answer in the probe time, or refuses the token.
    """
    from pyarrow import flight

    try:
        with flight.connect(settings.flight_url) as client:
            return _health(client, settings)
    except Exception as error:
        raise FlightProblem(_sentence(settings, error)) from error


def act(settings: Settings, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of an action.

    Raises:
        FlightProblem: the service does not answer, or refuses the token or the action.
    """
    from pyarrow import flight

    try:
        with flight.connect(settings.flight_url) as client:
            # A service that is not there is found in the probe's time, not in gRPC's.
            _health(client, settings)
            options = flight.FlightCallOptions(headers=_headers(settings))
            action = flight.Action(name, json.dumps(body).encode())
            [answer] = client.do_action(action, options)
            return json.loads(answer.body.to_pybytes())
    except Exception as error:
        raise FlightProblem(_sentence(settings, error)) from error


def read(settings: Settings, ticket: Mapping[str, Any]) -> "Iterator[pa.RecordBatch]":
    """Yields the record batches of a ticket as they arrive. Ctrl-C ends the wait for the next.

    Raises:
        FlightProblem: the service does not answer, or refuses the token or the ticket.
    """
    _, batches = stream(settings, ticket)
    yield from batches


def stream(
    settings: Settings, ticket: Mapping[str, Any]
) -> "tuple[pa.Schema, Generator[pa.RecordBatch, None, None]]":
    """The schema of a ticket's result, and its record batches as they arrive. Ctrl-C ends the wait
    for the next; closing the batches ends the stream.

    Raises, also while it is iterated:
        FlightProblem: the service does not answer, or refuses the token or the ticket.
    """
    received = _received(settings, ticket)
    # The first that arrives is the schema.
    return next(received), received


def _received(settings: Settings, ticket: Mapping[str, Any]) -> "Generator[Any, None, None]":
    call = _Call()
    # Arrow's own wait for a message hears no signal, so a thread waits in its place.
    messages = prefetch(_messages(settings, ticket, call), ahead=AHEAD, cancel=call.cancel)
    with closing(messages):
        try:
            yield from messages
        except Exception as error:
            raise FlightProblem(_sentence(settings, error)) from error


class _Call:
    """A DoGet that another thread may cancel, also before it has begun."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._reader: flight.FlightStreamReader | None = None

    def begin(self, reader: "flight.FlightStreamReader") -> "flight.FlightStreamReader":
        self._reader = reader
        if self._cancelled.is_set():
            reader.cancel()
        return reader

    def cancel(self) -> None:
        self._cancelled.set()
        if self._reader is not None:
            self._reader.cancel()


def _messages(settings: Settings, ticket: Mapping[str, Any], call: _Call) -> Iterator[Any]:
    """The schema, then the record batches."""
    from pyarrow import flight

    with flight.connect(settings.flight_url) as client:
        # A service that is not there is found in the probe's time, not in gRPC's.
        _health(client, settings)
        options = flight.FlightCallOptions(headers=_headers(settings))
        reader = call.begin(client.do_get(flight.Ticket(json.dumps(ticket).encode()), options))
        yield reader.schema
        for chunk in reader:
            yield chunk.data


def _health(client: "flight.FlightClient", settings: Settings) -> dict[str, str]:
    from pyarrow import flight

    options = flight.FlightCallOptions(
        timeout=settings.probe_timeout_seconds, headers=_headers(settings)
    )
    [answer] = client.do_action("HealthCheck", options)
    return json.loads(answer.body.to_pybytes())


def _headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    if settings.flight_token is None:
        return []
    return [(b"authorization", f"Bearer {settings.flight_token.get_secret_value()}".encode())]


def _sentence(settings: Settings, error: Exception) -> str:
    """The service's own sentence, or that there is no service."""
    import pyarrow as pa
    from pyarrow import flight

    said, detail, _ = str(error).partition(". Detail: ")
    if isinstance(error, flight.FlightUnauthenticatedError):
        return f"{said}. Set FRAISEQL_FLIGHT_TOKEN."
    if detail:
        return f"{said}."
    silent = flight.FlightUnavailableError | flight.FlightTimedOutError
    # An address that is none is invalid to Arrow.
    if isinstance(error, silent | pa.ArrowInvalid):
        return (
            f"The Flight service at {settings.flight_url} does not answer. "
            "Start it with `python -m flight_service`, or set FRAISEQL_FLIGHT_URL."
        )
    return f"The Flight service at {settings.flight_url} failed: {said}."
