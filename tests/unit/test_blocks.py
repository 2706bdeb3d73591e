from datetime import date

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fraiseql_assets.pipeline.blocks import build_blocks
from fraiseql_assets.planes import Batching, Block
from fraiseql_assets.ranges import SequenceRange

SPAN = SequenceRange(1, 1000)
DAY = date(2026, 3, 2)


def batches(sizes: list[int]) -> list[pa.RecordBatch]:
    start = 0
    made = []
    for size in sizes:
        made.append(pa.record_batch({"n": pa.array(range(start, start + size), pa.int64())}))
        start += size
    return made


def cut(sizes: list[int], rows: int, size: int = 1 << 30) -> list[Block]:
    return list(build_blocks(batches(sizes), "s", SPAN, DAY, Batching(1, 1, rows, size)))


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 60))
def test_blocks_hold_every_row_once_and_in_order(sizes: list[int], rows: int) -> None:
    held = [n for block in cut(sizes, rows) for n in block.table["n"].to_pylist()]
    assert held == list(range(sum(sizes)))


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(1, 60))
def test_a_block_has_fewer_than_twice_the_configured_rows(sizes: list[int], rows: int) -> None:
    assert all(block.table.num_rows < 2 * rows for block in cut(sizes, rows))


def test_a_block_ends_at_the_configured_bytes() -> None:
    assert [block.table.num_rows for block in cut([10, 10, 10], 1000, size=160)] == [20, 10]


def test_no_rows_make_no_block() -> None:
    assert cut([], 10) == []


def test_the_same_range_and_batching_give_the_same_tokens() -> None:
    assert [b.token for b in cut([5, 5], 5)] == [b.token for b in cut([5, 5], 5)]


def test_another_batching_gives_other_tokens() -> None:
    assert not {b.token for b in cut([5, 5], 5)} & {b.token for b in cut([5, 5], 10)}


def test_blocks_of_a_range_have_different_tokens() -> None:
    tokens = [block.token for block in cut([5, 5, 5], 5)]
    assert len(set(tokens)) == 3
