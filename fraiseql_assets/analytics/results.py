"""Results of ClickHouse as Arrow: streamed, in the announced schema, whole or an error."""

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

BATCH_ROWS = 16_384
READ_SETTINGS = {
    "max_block_size": BATCH_ROWS,
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 0,
    "output_format_arrow_compression_method": "none",
    "optimize_read_in_order": 1,
    # A sort of more than this goes through the disk.
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
    """Yields a statement's result in record batches of `schema`, none of them empty. `extra` are
    further settings of the query.

    Closing the iterator ends the query on the server.

    Raises:
        PlaneUnavailable: the server cannot be reached, or broke the result off.
    """
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
    # Closing the response in mid-stream closes the connection, which ends the query.
    with stream, _whole(settings), pa.ipc.open_stream(stream) as reader:
        for batch in reader:
            if batch.num_rows:
                yield batch.cast(schema)


@contextmanager
def _whole(settings: Settings) -> Iterator[None]:
    """A result that breaks off half-way is an error of the server, never a short result."""
    try:
        yield
    except (pa.ArrowInvalid, HTTPError, OSError) as error:
        raise PlaneUnavailable(
            f"ClickHouse at {address(settings)} broke off a result: {error}"
        ) from error
