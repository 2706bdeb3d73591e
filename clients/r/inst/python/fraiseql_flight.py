"""What R asks of pyarrow: parallel reads, and errors as one sentence."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyarrow import flight


class Client:
    """A connection with its token."""

    def __init__(self, url: str, token: str, tls_ca: str) -> None:
        options: dict[str, Any] = {}
        if tls_ca:
            with open(tls_ca, "rb") as file:
                options["tls_root_certs"] = file.read()
        self._client = flight.FlightClient(url, **options)
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self._options = flight.FlightCallOptions(headers=headers)

    def read(self, ticket: str, parallel: float) -> tuple[pa.Table, int]:
        """The rows of a ticket from all its endpoints, and the announced number or -1."""
        with _Sentence():
            descriptor = flight.FlightDescriptor.for_command(ticket)
            info = self._client.get_flight_info(descriptor, self._options)
            with ThreadPoolExecutor(max(1, int(parallel))) as pool:
                parts = list(pool.map(self._part, info.endpoints))
        return pa.concat_tables([info.schema.empty_table(), *parts]), info.total_records

    def follow(self, ticket: str) -> "Tail":
        """Begins an endless stream."""
        with _Sentence():
            return Tail(self._client.do_get(flight.Ticket(ticket.encode()), self._options))

    def _part(self, endpoint: flight.FlightEndpoint) -> pa.Table:
        return self._client.do_get(endpoint.ticket, self._options).read_all()


class Tail:
    """A stream of new events."""

    def __init__(self, reader: flight.FlightStreamReader) -> None:
        self._reader = reader

    def next(self) -> pa.Table | None:
        """The next events; None at the end."""
        with _Sentence():
            try:
                return pa.Table.from_batches([self._reader.read_chunk().data])
            except StopIteration:
                return None

    def close(self) -> None:
        self._reader.cancel()


class _Sentence:
    """Raises errors as the service's sentence alone."""

    def __enter__(self) -> "_Sentence":
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        if isinstance(error, pa.ArrowException | flight.FlightError):
            said = str(error).split(". Detail: ")[0].removesuffix(".") + "."
            if isinstance(error, flight.FlightUnauthenticatedError):
                said += " Pass token=, or set FRAISEQL_FLIGHT_TOKEN."
            elif isinstance(error, flight.FlightUnavailableError):
                said += " If no service runs there, pass url=, or set FRAISEQL_FLIGHT_URL."
            raise RuntimeError(said) from None
