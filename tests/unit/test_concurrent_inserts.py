"""Two blocks are written at a time, in order, and none is lost."""

import threading
from collections.abc import Iterator
from datetime import date

import pyarrow as pa
import pytest

from fraiseql_assets.analytics.concurrent_inserts import write_overlapping
from fraiseql_assets.planes import Block, Written
from fraiseql_assets.ranges import SequenceRange

SECONDS = 30
BLOCKS = [
    Block(pa.table({}), "s", SequenceRange(1, 9), date(2026, 1, 1), number, f"{number}")
    for number in range(4)
]


def test_results_are_in_the_order_of_the_blocks() -> None:
    second_done = threading.Event()

    def write(before: Block | None, block: Block) -> Written:
        if block.number == 0:
            assert second_done.wait(SECONDS)
        if block.number == 1:
            second_done.set()
        return Written(block.number, 0, [])

    assert [written.rows for written in write_overlapping(BLOCKS, write, at_a_time=2)] == [
        0,
        1,
        2,
        3,
    ]


def test_each_block_is_written_with_the_previous_one() -> None:
    pairs: list[tuple[int | None, int]] = []

    def write(before: Block | None, block: Block) -> Written:
        pairs.append((before and before.number, block.number))
        return Written(0, 0, [])

    list(write_overlapping(BLOCKS, write, at_a_time=2))
    assert sorted(pairs, key=lambda pair: pair[1]) == [(None, 0), (0, 1), (1, 2), (2, 3)]


def test_at_most_two_blocks_are_taken_before_a_result() -> None:
    taken: list[int] = []

    def blocks() -> Iterator[Block]:
        for block in BLOCKS:
            taken.append(block.number)
            yield block

    results = write_overlapping(
        blocks(), lambda _, block: Written(block.number, 0, []), at_a_time=2
    )
    next(results)
    # The third was asked for, and waits for the first.
    assert taken == [0, 1, 2]
    results.close()


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_an_error_is_raised_after_the_results_before_it(failing: int) -> None:
    def write(before: Block | None, block: Block) -> Written:
        if block.number == failing:
            raise LookupError("no")
        return Written(block.number, 0, [])

    got: list[int] = []
    with pytest.raises(LookupError, match="no"):
        got.extend(written.rows for written in write_overlapping(BLOCKS, write, at_a_time=2))
    assert got == list(range(failing))


def test_no_write_is_running_after_an_error() -> None:
    failed, ended = threading.Event(), threading.Event()

    def write(before: Block | None, block: Block) -> Written:
        if block.number == 0:
            failed.set()
            raise LookupError("no")
        assert failed.wait(SECONDS)
        ended.set()
        return Written(0, 0, [])

    with pytest.raises(LookupError, match="no"):
        list(write_overlapping(BLOCKS[:2], write, at_a_time=2))
    assert ended.is_set()


def test_an_error_of_the_blocks_is_raised() -> None:
    def blocks() -> Iterator[Block]:
        yield BLOCKS[0]
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        list(write_overlapping(blocks(), lambda *_: Written(0, 0, []), at_a_time=2))


def test_one_at_a_time_begins_after_the_one_before() -> None:
    ended: list[int] = []

    def write(before: Block | None, block: Block) -> Written:
        assert ended == list(range(block.number))
        ended.append(block.number)
        return Written(0, 0, [])

    list(write_overlapping(BLOCKS, write, at_a_time=1))
    assert len(ended) == len(BLOCKS)
