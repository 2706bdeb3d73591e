"""ClickHouse results as Arrow streams in a given schema. A partial result is an error."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import IOBase
from typing import Any, cast

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from urllib3.exceptions import HTTPError

from fraiseql_assets.analytics.client import address, translated
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


def stream_result(
    client: Client,
    settings: Settings,
    statement: str,
    parameters: Mapping[str, Any],
    schema: pa.Schema,
    extra: Mapping[str, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields a statement's result in non-empty record batches of `schema`. `extra` holds additional
    query settings.

    Closing the iterator cancels the query on the server.

    Raises:
        PlaneUnavailable: the server cannot be reached, or aborted the result.
    """
    with span("ClickHouse", system="clickhouse", statement=statement):
        with translated(settings):
            stream = cast(
                IOBase,
                client.raw_stream(
                    statement,
                    parameters=dict(parameters),
                    settings={**READ_SETTINGS, **(extra or {})},
                    fmt="ArrowStream",
                ),
            )
        # Closing the response mid-stream closes the connection, which cancels the query.
        with stream, _whole(settings), pa.ipc.open_stream(stream) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch.cast(schema)


@contextmanager
def _whole(settings: Settings) -> Iterator[None]:
    """Reports an incomplete result as an error of the server, never as a short result."""
    try:
        yield
    except (pa.ArrowInvalid, HTTPError, OSError) as error:
        raise PlaneUnavailable(
            f"ClickHouse at {address(settings)} broke off a result: {error}"
        ) from error
