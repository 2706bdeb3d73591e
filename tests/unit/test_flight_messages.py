"""Record batches as messages of a limited size."""

import json
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from flight_service.formats import ARROW
from flight_service.graphql.transport.response import ipc_stream
from flight_service.messages import MESSAGE_BYTES, messages

KIB = 2**10


def encoded(batch: pa.RecordBatch) -> int:
    return pa.ipc.get_record_batch_size(batch)


@given(st.lists(st.integers(0, 5000), max_size=40))
def test_a_message_above_the_limit_has_one_row(sizes: list[int]) -> None:
    texts = ["x" * (size * KIB) for size in sizes]
    batch = pa.record_batch({"n": pa.array(range(len(sizes)), pa.int64()), "text": texts})
    found = [*messages(batch)]
    assert all(encoded(one) <= MESSAGE_BYTES or one.num_rows == 1 for one in found)
    assert pa.Table.from_batches(found, batch.schema).combine_chunks() == pa.Table.from_batches(
        [batch]
    )


def test_a_batch_that_fits_is_one_message() -> None:
    batch = pa.record_batch({"n": pa.array(range(100_000), pa.int64())})
    assert [*messages(batch)] == [batch]


def test_messages_of_equal_rows_are_few() -> None:
    batch = pa.record_batch({"text": ["x" * KIB] * (10 * KIB)})
    assert len([*messages(batch)]) == 4


def test_sizes_of_messages_include_nested_values() -> None:
    rows = [{"tags": ["x" * 100] * 300, "inner": {"text": json.dumps(n)}} for n in range(400)]
    batch = pa.RecordBatch.from_pylist(rows)
    found = [*messages(batch)]
    assert encoded(batch) > 3 * MESSAGE_BYTES
    assert max(map(encoded, found)) <= MESSAGE_BYTES
    assert [row for one in found for row in one.to_pylist()] == rows


@pytest.mark.parametrize("encoded_stream", [ARROW.pieces, ipc_stream], ids=["formats", "graphql"])
def test_a_stream_over_http_has_the_same_limit(
    encoded_stream: Callable[[pa.Schema, Iterator[pa.RecordBatch], None], Iterator[bytes]],
) -> None:
    # A client that skips more than four MiB of a column asks for a later part of the answer, as
    # ClickHouse does, and there are no parts.
    batch = pa.record_batch({"id": range(10 * KIB), "text": ["x" * KIB] * (10 * KIB)})
    stream = b"".join(encoded_stream(batch.schema, iter([batch]), None))
    found = [*pa.ipc.open_stream(stream)]
    assert max(map(encoded, found)) <= MESSAGE_BYTES
    assert pa.Table.from_batches(found).combine_chunks() == pa.Table.from_batches([batch])
