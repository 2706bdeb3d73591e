"""Record batches of clients: damaged ones are refused, and sizes are those of all values."""

from typing import Any, cast

import pyarrow as pa
import pytest
from pyarrow import flight

from flight_service.errors import InvalidRequest
from flight_service.received import check_schema, check_undamaged, messages, whole_bytes

LONG = "x" * 1000


def batch(column: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([column], ["a"])


def texts(data: bytes, *offsets: int) -> pa.Array:
    buffer = pa.array(offsets, pa.int32()).buffers()[1]
    buffers = [None, buffer, pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.utf8(), len(offsets) - 1, buffers)


def test_offsets_outside_their_buffer_are_refused() -> None:
    # Only the last one is checked by Arrow itself.
    broken = texts(b"abc", 0, 10**6, 3)
    with pytest.raises(InvalidRequest, match="The batch is damaged: "):
        check_undamaged(batch(broken))
    check_undamaged(batch(pa.array(["abc"])))


def test_invalid_utf8_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="The batch is damaged: "):
        check_undamaged(batch(texts(b"\xff", 0, 1)))


def test_a_column_name_that_is_not_utf8_is_refused() -> None:
    stream = batch(pa.array([{"name": 1}])).serialize()
    schema = batch(pa.array([{"name": 1}])).schema.serialize().to_pybytes()
    broken = pa.ipc.read_schema(pa.py_buffer(schema.replace(b"name", b"na\xffe")))
    with pytest.raises(InvalidRequest, match="The batch is damaged: "):
        check_undamaged(pa.ipc.read_record_batch(stream, broken))


@pytest.mark.parametrize(
    ("column", "size"),
    [
        (pa.array(["abc", None], pa.utf8()), 12),
        (pa.array([1, 2, 3], pa.int64()), 24),
        (pa.nulls(1000), 4000),
        (pa.array([LONG] * 100, pa.string_view()), 100_400),
        (pa.array([None, LONG], pa.binary_view()).slice(1), 1004),
        (pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int8()), [LONG]), 100_400),
        (pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([b"abc"])), 11),
        (pa.DictionaryArray.from_arrays(pa.array([0] * 10), pa.array([7], pa.int64())), 120),
        (pa.ListArray.from_arrays([0, 2], pa.DictionaryArray.from_arrays([0, 0], [LONG])), 2012),
        (pa.StructArray.from_arrays([pa.array([LONG], pa.string_view())], ["b"]), 1008),
        (pa.ListViewArray.from_arrays([0] * 10, [1] * 10, pa.array([LONG])), 10_090),
    ],
    ids=lambda one: str(one.type) if isinstance(one, pa.Array) else str(one),
)
def test_the_size_includes_repeated_values(column: pa.Array, size: int) -> None:
    assert whole_bytes(batch(column)) == size


def test_rows_without_columns_count() -> None:
    rows = pa.RecordBatch.from_struct_array(pa.array([{}] * 1000, pa.struct([])))
    assert (rows.num_columns, rows.num_rows) == (0, 1000)
    assert whole_bytes(rows) == 4000


class Reader:
    """Reports an empty message and the end as pyarrow's reader does."""

    def __init__(self, *sent: str | None) -> None:
        self._sent = list(sent)

    def read_chunk(self) -> str:
        message = self._sent.pop(0) if self._sent else None
        if message is None:
            raise StopIteration
        return message

    @property
    def schema(self) -> pa.Schema:
        raise OSError("Client never sent a data message")


def reader(*sent: str | None) -> flight.MetadataRecordBatchReader:
    made: Any = Reader(*sent)
    return cast(flight.MetadataRecordBatchReader, made)


def test_messages_behind_empty_ones_are_read() -> None:
    assert [*messages(reader("a", None, "b", *[None] * 15, "c"), "It")] == ["a", "b", "c"]
    assert [*messages(reader(), "It")] == []


def test_a_stream_without_a_schema_cannot_be_read() -> None:
    with pytest.raises(InvalidRequest, match="No message with a schema arrived"):
        check_schema(reader())
