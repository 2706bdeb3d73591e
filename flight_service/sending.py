"""Sends the batches of a flight to the client."""

from collections.abc import Iterator

import pyarrow as pa

from flight_service.errors import Stopping, as_flight_error
from flight_service.messages import sized_messages
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator


def sent(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, cancellation: Cancellation
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batches of a flight as messages with their sizes, until the call is cancelled."""
    try:
        for batch in batches:
            if cancellation.over:
                break
            if not batch.schema.equals(schema):
                raise AssertionError(f"a batch of {batch.schema} in a flight of {schema}")
            yield from sized_messages(batch)
        if cancellation.stopping:
            raise Stopping
    except Exception as error:
        # Cancelled work raises some error. A client that still waits gets the reason instead.
        if cancellation.stopping:
            raise as_flight_error(Stopping()) from None
        if not cancellation.over:
            raise as_flight_error(error) from None
    finally:
        close_iterator(batches)
