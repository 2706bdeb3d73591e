"""ClickHouse results as Arrow streams in a given schema. A partial result is an error."""

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import IOBase
from typing import Any, cast

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from urllib3.exceptions import HTTPError

from fraiseql_assets.analytics.client import address, translated
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

BATCH_ROWS = 16_384
READ_SETTINGS = {
    "max_block_size": BATCH_ROWS,
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 0,
    "output_format_arrow_compression_method": "none",
    "optimize_read_in_order": 1,
    # Larger sorts use the disk.
    "max_bytes_before_external_sort": 256 * 2**20,
}
KILL_AGAIN_SECONDS = 0.05


def stream_result(
    client: Client,
    settings: Settings,
    statement: str,
    parameters: Mapping[str, Any],
    schema: pa.Schema,
    *,
    extra: Mapping[str, Any] | None = None,
    cancellation: Cancellation | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields a statement's result in non-empty record batches of `schema`. `extra` holds additional
    query settings.

    Closing the iterator cancels the query on the server. So does `cancellation`, also while the
    next batch is awaited, which then raises some error.

    Raises:
        PlaneUnavailable: the server cannot be reached, or aborted the result.
    """
    cancellation = cancellation or Cancellation()
    query = _Query(client)
    cancellation.then(query.kill)
    with span("ClickHouse", system="clickhouse", statement=statement), query.running():
        if cancellation.over:
            return
        with translated(settings):
            stream = cast(
                IOBase,
                client.raw_stream(
                    statement,
                    parameters=dict(parameters),
                    settings={**READ_SETTINGS, **(extra or {}), "query_id": query.id},
                    fmt="ArrowStream",
                ),
            )
        # Closing the response mid-stream closes the connection, which cancels the query.
        with stream, _whole(settings), pa.ipc.open_stream(stream) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch.cast(schema)


def whole_result(
    client: Client,
    statement: str,
    parameters: Mapping[str, Any],
    cancellation: Cancellation | None = None,
) -> Sequence[Sequence[Any]]:
    """The rows of a statement. `cancellation` cancels the query on the server, which then raises
    some error."""
    cancellation = cancellation or Cancellation()
    query = _Query(client)
    cancellation.then(query.kill)
    with query.running():
        if cancellation.over:
            raise PlaneUnavailable("The query was cancelled before it was sent.")
        found = client.query(
            statement, parameters=dict(parameters), settings={"query_id": query.id}
        )
    return found.result_rows


class _Query:
    """A query that another thread can kill while it runs."""

    def __init__(self, client: Client) -> None:
        self.id = secrets.token_hex(16)
        self._client = client
        self._ended = threading.Event()
        self._ended.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """The block in which it runs."""
        self._ended.clear()
        try:
            yield
        finally:
            self._ended.set()

    def kill(self) -> None:
        """Kills it repeatedly until it has ended, because ClickHouse may not know a new query
        yet."""
        while not self._ended.is_set():
            with suppress(Exception):
                self._client.command(f"KILL QUERY WHERE query_id = '{self.id}' ASYNC")
            self._ended.wait(KILL_AGAIN_SECONDS)


@contextmanager
def _whole(settings: Settings) -> Iterator[None]:
    """Reports an incomplete result as an error of the server, never as a short result."""
    try:
        yield
    except (pa.ArrowInvalid, HTTPError, OSError) as error:
        raise PlaneUnavailable(
            f"ClickHouse at {address(settings)} broke off a result: {error}"
        ) from error
