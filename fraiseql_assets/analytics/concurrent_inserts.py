"""Writes a block while the one before it is still being inserted."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from functools import partial
from threading import Thread

from fraiseql_assets.planes import Block, Written

ENDING_SECONDS = 5.0
"""The timeout for blocks in flight if writing ends early."""


def write_overlapping(
    blocks: Iterable[Block], write: Callable[[Block | None, Block], Written], *, at_a_time: int
) -> Generator[Written]:
    """Writes blocks, one or two at a time, and yields the result of each in their order.

    `write` is called in a thread, with the block before, whose rows may not be in the plane yet,
    and the block. If it raises an error, that is raised in place of the result, and no further
    block is taken. When this iterator ends or is closed, the blocks in flight have been written or
    refused, or `ENDING_SECONDS` have passed.
    """
    flying: deque[Future[Written]] = deque()
    before: Block | None = None
    try:
        for block in blocks:
            if len(flying) == at_a_time:
                yield flying.popleft().result()
            flying.append(_begun(partial(write, before, block)))
            before = block
        while flying:
            yield flying.popleft().result()
    finally:
        wait(flying, timeout=ENDING_SECONDS)


def _begun(work: Callable[[], Written]) -> Future[Written]:
    """Runs work in a daemon thread, which does not keep the process alive."""
    future: Future[Written] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again by `result`
            future.set_exception(error)

    Thread(target=run, name="write", daemon=True).start()
    return future
