"""A connection to the service: every call with its token, its errors translated, and repeated
where nothing of the answer was used yet."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import flight
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from fraiseql_client.errors import FraiseqlError, InvalidRequest, Unavailable, translated

Token = str | Callable[[], str]
"""A token, or what returns a fresh one for each call."""
Ticket = str | Mapping[str, Any]
"""A name, such as `analytics/events`, or the fields of a ticket."""

DEFAULT_URL = "grpc://127.0.0.1:50051"
ATTEMPTS = 4
LONGEST_WAIT = 5.0

_T = TypeVar("_T")


class Connection:
    """Calls the service. Safe to use from several threads.

    Every method raises:
        FraiseqlError: see `fraiseql_client.errors`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: Token | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
    ) -> None:
        self.url = url or os.environ.get("FRAISEQL_FLIGHT_URL") or DEFAULT_URL
        self._token = token or os.environ.get("FRAISEQL_FLIGHT_TOKEN") or None
        authority = tls_ca or os.environ.get("FRAISEQL_FLIGHT_CA_FILE") or None
        options = {} if authority is None else {"tls_root_certs": _content(authority)}
        with self.errors():
            self._client = flight.FlightClient(self.url, **options)

    def close(self) -> None:
        """Closes the connection. Streams that are still read end with an error."""
        self._client.close()

    def info(self, ticket: Ticket) -> flight.FlightInfo:
        """The schema, the endpoints and the announced size of a ticket's result."""
        descriptor = flight.FlightDescriptor.for_command(encoded(ticket))
        return self.again(lambda: self._client.get_flight_info(descriptor, self._options()))

    def list(self) -> list[flight.FlightInfo]:
        """What the service offers this token."""
        return self.again(lambda: list(self._client.list_flights(b"", self._options())))

    def open(self, ticket: Ticket | flight.Ticket) -> flight.FlightStreamReader:
        """Begins to read a ticket, without another attempt. Read the stream, or cancel it."""
        bare = ticket if isinstance(ticket, flight.Ticket) else flight.Ticket(encoded(ticket))
        with self.errors():
            return self._client.do_get(bare, self._options())

    def put(self, name: str, rows: pa.Table, batch_rows: int) -> dict[str, Any]:
        """Writes rows, without another attempt. Returns the service's last receipt, with the
        warnings of all."""
        descriptor = flight.FlightDescriptor.for_path(name)
        receipt: dict[str, Any] = {}
        warnings: list[str] = []
        with self.errors():
            writer, receipts = self._client.do_put(descriptor, rows.schema, self._options())
            try:
                for batch in rows.to_batches(max_chunksize=batch_rows):
                    writer.write_batch(batch)
                writer.done_writing()
                while (told := receipts.read()) is not None:
                    receipt = json.loads(told.to_pybytes())
                    warnings += receipt.get("warnings", ())
            finally:
                # Raises what the service refused, where writing failed with less.
                writer.close()
        return {**receipt, "warnings": tuple(dict.fromkeys(warnings))}

    def act(self, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """Runs an action that may be repeated, and returns its JSON."""
        action = flight.Action(name, json.dumps(body).encode() if body else b"")

        def once() -> Any:
            [answer] = self._client.do_action(action, self._options())
            return json.loads(answer.body.to_pybytes())

        return self.again(once)

    def again(self, work: Callable[[], _T]) -> _T:
        """Does the work, and does it again while the service is unavailable, a few times."""
        retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT),
            reraise=True,
        )

        def once() -> _T:
            with self.errors():
                return work()

        return retrying(once)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises pyarrow's errors of the block as this package's."""
        try:
            yield
        except FraiseqlError:
            raise
        except Exception as error:
            raise translated(error, self.url) from error

    def _options(self) -> flight.FlightCallOptions:
        token = self._token() if callable(self._token) else self._token
        if token is None:
            return flight.FlightCallOptions()
        return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def _content(authority: str | os.PathLike[str]) -> bytes:
    try:
        return Path(authority).read_bytes()
    except OSError as error:
        raise InvalidRequest(
            f"The certificate authority's file {authority} cannot be read: {error.strerror}. Pass "
            "tls_ca=… to connect(), or set FRAISEQL_FLIGHT_CA_FILE."
        ) from None


def encoded(ticket: Ticket) -> bytes:
    """A ticket as bytes."""
    return ticket.encode() if isinstance(ticket, str) else json.dumps(ticket).encode()
