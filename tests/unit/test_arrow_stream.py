"""Tables become Arrow streams in pieces, without copies of their values."""

import pyarrow as pa
import pytest

from fraiseql_assets.analytics.arrow_stream import JOINED_BYTES, stream_pieces


def whole(table: pa.Table) -> pa.Table:
    return pa.ipc.open_stream(b"".join(stream_pieces(table))).read_all()


LARGE = pa.table({"number": pa.array(range(JOINED_BYTES)), "text": ["x" * 10] * JOINED_BYTES})
TABLES = {
    "large": LARGE,
    "sliced": LARGE.slice(7, 1_000),
    "of several batches": pa.concat_tables([LARGE, LARGE.slice(3, 10)]),
    "of no rows": LARGE.slice(0, 0),
    "with nulls": pa.table({"a": pa.array([None, "b", None]), "b": pa.nulls(3)}),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_pieces_decode_to_the_table(name: str) -> None:
    assert whole(TABLES[name]).equals(TABLES[name])


def test_large_buffers_are_not_copied() -> None:
    [chunk] = LARGE["number"].chunks
    address = chunk.buffers()[1].address
    assert address in {pa.py_buffer(piece).address for piece in stream_pieces(LARGE)}


def test_small_buffers_are_joined() -> None:
    assert len(stream_pieces(LARGE.slice(0, 10))) == 1
