"""The Flight client of the command line."""

import json
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.settings import Settings, variable
from fraiseql_assets.skip_imports import skip_numpy, skip_pandas

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import flight

AHEAD = 2


class FlightProblem(Exception):
    """A request to the Flight service failed; the message says why and what to do."""


def health(settings: Settings) -> dict[str, str]:
    """The response of the health check: `status`, `version` and `timestamp`.

    Raises:
        FlightProblem: it does not answer within the probe timeout, or refuses the token.
    """

    try:
        with _connect(settings) as client:
            return _health(client, settings)
    except Exception as error:
        raise FlightProblem(_sentence(settings, error)) from error


def act(settings: Settings, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Runs an action and returns its result.

    Raises:
        FlightProblem: the service does not answer, or refuses the token or the action.
    """
    from pyarrow import flight

    try:
        with _connect(settings) as client:
            # Detects an absent service within the probe timeout; gRPC's own timeout is longer.
            _health(client, settings)
            options = flight.FlightCallOptions(headers=_headers(settings))
            action = flight.Action(name, json.dumps(body).encode())
            [answer] = client.do_action(action, options)
            return json.loads(answer.body.to_pybytes())
    except Exception as error:
        raise FlightProblem(_sentence(settings, error)) from error


def read(settings: Settings, ticket: Mapping[str, Any]) -> "Iterator[pa.RecordBatch]":
    """Yields the record batches of a ticket as they arrive. Ctrl-C interrupts the wait.

    Raises:
        FlightProblem: the service does not answer, or refuses the token or the ticket.
    """
    _, batches = stream(settings, ticket)
    yield from batches


def stream(
    settings: Settings, ticket: Mapping[str, Any]
) -> "tuple[pa.Schema, Generator[pa.RecordBatch, None, None]]":
    """The schema of a ticket's result, and its record batches as they arrive. Ctrl-C interrupts
    the wait; closing the iterator of batches ends the stream.

    Raises, also during iteration:
        FlightProblem: the service does not answer, or refuses the token or the ticket.
    """
    skip_numpy()
    received = _received(settings, ticket)
    # The first item is the schema.
    return next(received), received


def rows_of(batch: "pa.RecordBatch") -> list[dict[str, Any]]:
    """The rows of a batch, whose times are in UTC."""
    import pyarrow as pa

    # To make a time with a zone, pyarrow imports pandas, which takes longer than a search.
    zoned = [n for n, field in enumerate(batch.schema) if getattr(field.type, "tz", None)]
    for place in zoned:
        field = batch.schema.field(place)
        times = batch.column(place).view(pa.timestamp(field.type.unit))
        batch = batch.set_column(place, field.name, times)
    rows = batch.to_pylist()
    for name in (batch.schema.names[place] for place in zoned):
        for row in rows:
            row[name] = row[name] and row[name].replace(tzinfo=UTC)
    return rows


def _received(settings: Settings, ticket: Mapping[str, Any]) -> "Generator[Any, None, None]":
    call = _Call()
    # Arrow's blocking read ignores signals, so a separate thread does the reading.
    messages = prefetch(_messages(settings, ticket, call), ahead=AHEAD, cancel=call.cancel)
    with closing(messages):
        try:
            yield from messages
        except Exception as error:
            raise FlightProblem(_sentence(settings, error)) from error


class _Call:
    """A DoGet that another thread can cancel, even before it has begun."""

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
    """Yields the schema, then the record batches."""
    from pyarrow import flight

    with _connect(settings) as client:
        # Detects an absent service within the probe timeout; gRPC's own timeout is longer.
        _health(client, settings)
        options = flight.FlightCallOptions(headers=_headers(settings))
        reader = call.begin(client.do_get(flight.Ticket(json.dumps(ticket).encode()), options))
        yield reader.schema
        for chunk in reader:
            yield chunk.data


def _connect(settings: Settings) -> "flight.FlightClient":
    """A client of the service, over TLS if the address says so.

    Raises:
        FlightProblem: a file of the settings cannot be read.
    """
    from pyarrow import flight

    skip_pandas()
    names = {
        "tls_root_certs": "flight_ca_file",
        "cert_chain": "flight_client_certificate",
        "private_key": "flight_client_key",
    }
    given = {option: _content(settings, name) for option, name in names.items()}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return flight.connect(settings.flight_url, **options)


def _content(settings: Settings, name: str) -> bytes | None:
    path: Path | None = getattr(settings, name)
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise FlightProblem(
            f"{variable(name)}: {path} cannot be read: {error.strerror}."
        ) from error


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
    """The error message of the service, or a message that it does not answer."""
    import pyarrow as pa
    from pyarrow import flight

    if isinstance(error, FlightProblem):
        return str(error)
    said, detail, _ = str(error).partition(". Detail: ")
    if isinstance(error, flight.FlightUnauthenticatedError):
        return f"{said}. Set FRAISEQL_FLIGHT_TOKEN."
    if detail:
        return f"{said}."
    if "certificate verify failed" in said.lower():
        return (
            f"The certificate of the Flight service at {settings.flight_url} is not trusted. Set "
            f"{variable('flight_ca_file')} to the authorities that it is signed by."
        )
    silent = flight.FlightUnavailableError | flight.FlightTimedOutError
    # Arrow reports an invalid address as ArrowInvalid.
    if isinstance(error, silent | pa.ArrowInvalid):
        return (
            f"The Flight service at {settings.flight_url} does not answer. "
            "Work in a folder with the `.fraiseql` of a running stack, start the service with "
            "`python -m flight_service`, or set FRAISEQL_FLIGHT_URL."
        )
    return f"The Flight service at {settings.flight_url} failed: {said}."
