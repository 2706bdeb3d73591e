import threading
from collections.abc import Iterator

import pytest

from fraiseql_assets.prefetch import prefetch


def test_items_come_in_order() -> None:
    assert list(prefetch(range(100), ahead=3)) == list(range(100))


def test_the_number_of_items_ahead_is_limited() -> None:
    made: list[int] = []
    looked = threading.Event()

    def items() -> Iterator[int]:
        for n in range(100):
            made.append(n)
            if n == 4:
                looked.set()
            yield n

    running = prefetch(items(), ahead=3)
    assert next(running) == 0
    # One item is with the consumer, three wait, one is being offered.
    assert looked.wait(10)
    running.close()
    assert made == [0, 1, 2, 3, 4]


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second item")

    running = prefetch(items(), ahead=3)
    assert next(running) == 1
    with pytest.raises(ValueError, match="the second item"):
        next(running)


def test_closing_closes_the_iterator() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    running = prefetch(items(), ahead=2)
    next(running)
    running.close()
    assert closed.is_set()
