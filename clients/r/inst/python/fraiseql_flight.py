"""What R asks of pyarrow: parallel reads, writes, a tail, and errors as one sentence."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from pyarrow import flight

BATCH_ROWS = 10_000
LAST_ROW = 2**32 - 1
RECONNECT_SECONDS = 60
_NO_TRUST = re.compile(r"certificate|ssl_|handshake|peer.*tls", re.IGNORECASE)


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

    def follow(self, ticket: str, after: str) -> "Tail":
        """Begins an endless stream: from now on, or behind a position."""
        fields = json.loads(ticket)
        with _Sentence():
            return Tail(self, fields, after or self._head())

    def write(self, rows: pa.Table, name: str) -> str:
        """Writes rows. Returns the service's last receipt as JSON."""
        receipt = b"{}"
        with _Sentence():
            descriptor = flight.FlightDescriptor.for_path(name)
            writer, receipts = self._client.do_put(descriptor, rows.schema, self._options)
            try:
                for batch in rows.to_batches(max_chunksize=BATCH_ROWS):
                    writer.write_batch(batch)
                writer.done_writing()
                while (told := receipts.read()) is not None:
                    receipt = told.to_pybytes()
            finally:
                # Raises what the service refused, where writing failed with less.
                writer.close()
        return receipt.decode()

    def open(self, ticket: dict[str, Any]) -> flight.FlightStreamReader:
        """Begins to read a ticket."""
        return self._client.do_get(flight.Ticket(json.dumps(ticket).encode()), self._options)

    def _head(self) -> str:
        """The position of the log's end; empty, if the log is, or the token may not know."""
        descriptor = flight.FlightDescriptor.for_path("stream", "events")
        about = json.loads(self._client.get_flight_info(descriptor, self._options).app_metadata)
        return f"{about['last_sequence']}:{LAST_ROW}" if about["last_sequence"] else ""

    def _part(self, endpoint: flight.FlightEndpoint) -> pa.Table:
        return self._client.do_get(endpoint.ticket, self._options).read_all()


class Tail:
    """A stream of new events. It connects again if the connection breaks."""

    def __init__(self, client: Client, ticket: dict[str, Any], position: str) -> None:
        self._client, self._ticket = client, ticket
        self.position = position
        """The position of the last event that was read; empty before the first."""
        self._reader = client.open(self._next())

    def next(self) -> pa.Table:
        """The next events. Waits for them."""
        silent_since = time.monotonic()
        while True:
            try:
                chunk = self._reader.read_chunk()
            except StopIteration:
                # The service ends its streams when it stops.
                self._reopen(silent_since)
            except flight.FlightUnavailableError as error:
                self._reopen(silent_since, error)
            except (pa.ArrowException, flight.FlightError) as error:
                with _Sentence():
                    raise error
            else:
                silent_since = time.monotonic()
                self.position = _behind(chunk) or self.position
                if chunk.data.num_rows:
                    return pa.Table.from_batches([chunk.data])

    def close(self) -> None:
        self._reader.cancel()

    def _reopen(self, silent_since: float, error: Exception | None = None) -> None:
        while True:
            time.sleep(1)
            try:
                self._reader = self._client.open(self._next())
                return
            except flight.FlightUnavailableError as unavailable:
                error = unavailable
            with _Sentence():
                if time.monotonic() - silent_since > RECONNECT_SECONDS:
                    raise error

    def _next(self) -> dict[str, Any]:
        if not self.position:
            return self._ticket
        try:
            sequence, row = (int(part) for part in self.position.split(":"))
        except ValueError:
            raise RuntimeError(f"{self.position} is no position such as 1042:0.") from None
        if row == LAST_ROW or sequence == 0:
            return {**self._ticket, "start_sequence": sequence + 1}
        return {**self._ticket, "start_sequence": sequence, "start_row": row + 1}


def _behind(chunk: flight.FlightStreamChunk) -> str:
    """The position up to which the service has looked, or that of the last event, where a large
    batch was divided; empty if it is unknown."""
    if chunk.app_metadata is not None:
        following = json.loads(chunk.app_metadata.to_pybytes())["next"]
        return f"{following['start_sequence']}:{following['start_row'] - 1}"
    rows = chunk.data
    return f"{rows['stream_seq'][-1]}:{rows['stream_row'][-1]}" if rows.num_rows else ""


class _Sentence:
    """Raises errors as the service's sentence alone."""

    def __enter__(self) -> "_Sentence":
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        if isinstance(error, pa.ArrowException | flight.FlightError):
            said = str(error).split(". Detail: ")[0].removesuffix(".") + "."
            if isinstance(error, flight.FlightUnauthenticatedError):
                said += " Pass token=, or set FRAISEQL_FLIGHT_TOKEN."
            elif isinstance(error, flight.FlightUnavailableError) and _NO_TRUST.search(said):
                said += (
                    " Pass tls_ca=, or set FRAISEQL_FLIGHT_CA_FILE, with the file of the service's "
                    "certificate authority."
                )
            elif isinstance(error, flight.FlightUnavailableError):
                said += " If no service runs there, pass url=, or set FRAISEQL_FLIGHT_URL."
            raise RuntimeError(said) from None
