"""Runs an iterator ahead of its consumer, in a thread, with a bounded queue between them."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


def prefetch(
    items: Iterable[T], *, ahead: int, cancel: Callable[[], None] = lambda: None
) -> Generator[T]:
    """Yields `items` in order. Up to `ahead` of them are computed in advance.

    An error of the iterator is raised in place of the item. Closing the generator calls `cancel`,
    which should end a wait for the next item, then stops the thread at the next item and closes
    the iterator.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def offer(item: object) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def run() -> None:
        end: object = _END
        iterator = iter(items)
        try:
            for item in iterator:
                offer((item,))
                if stopped.is_set():
                    break
        except BaseException as error:  # raised again where the consumer is
            end = error
        if stopped.is_set() and isinstance(iterator, Generator):
            iterator.close()
        offer(end)

    thread = threading.Thread(target=run, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        cancel()
        thread.join()
