"""What the commands read from the Flight service."""

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fraiseql_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import flight

AHEAD = 2
_END = object()


class FlightProblem(Exception):
    """The Flight service did not give what was asked; the message says why and what to do."""


def read(settings: Settings, ticket: Mapping[str, Any]) -> "Iterator[pa.RecordBatch]":
    """Yields the record batches of a ticket as they arrive. Ctrl-C ends the wait for the next.

    Raises:
        FlightProblem: the service does not answer, or refuses the ticket.
    """
    # Arrow's own wait for a message hears no signal, so a thread waits in its place.
    ready: queue.Queue[Any] = queue.Queue(maxsize=AHEAD)
    opened: list[flight.FlightStreamReader] = []
    threading.Thread(
        target=_receive, args=(settings, ticket, opened, ready), name="flight", daemon=True
    ).start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, Exception):
                raise FlightProblem(_sentence(settings, item)) from item
            yield item
    finally:
        for reader in opened:
            reader.cancel()


def _receive(
    settings: Settings,
    ticket: Mapping[str, Any],
    opened: "list[flight.FlightStreamReader]",
    ready: "queue.Queue[Any]",
) -> None:
    from pyarrow import flight

    token = settings.flight_token
    headers = []
    if token:
        headers.append((b"authorization", b"Bearer " + token.get_secret_value().encode()))
    patience = flight.FlightCallOptions(timeout=settings.probe_timeout_seconds, headers=headers)
    try:
        with flight.connect(settings.flight_url) as client:
            list(client.do_action("HealthCheck", patience))
            options = flight.FlightCallOptions(headers=headers)
            reader = client.do_get(flight.Ticket(json.dumps(ticket).encode()), options)
            opened.append(reader)
            for chunk in reader:
                ready.put(chunk.data)
    except Exception as error:
        ready.put(error)
    ready.put(_END)


def _sentence(settings: Settings, error: Exception) -> str:
    """The service's own sentence, or that there is no service."""
    import pyarrow as pa
    from pyarrow import flight

    said, detail, _ = str(error).partition(". Detail: ")
    if detail:
        return f"{said}."
    if isinstance(
        error, flight.FlightUnavailableError | flight.FlightTimedOutError | pa.ArrowInvalid
    ):
        return (
            f"The Flight service at {settings.flight_url} does not answer. "
            "Start it with `python -m flight_service`, or set FRAISEQL_FLIGHT_URL."
        )
    return f"The Flight service at {settings.flight_url} failed: {said}."
