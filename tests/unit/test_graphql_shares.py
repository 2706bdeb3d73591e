"""Which uses of connections are admitted, and in which order."""

import threading
from collections.abc import Callable

import pytest
from stacks import wait_until

from flight_service.graphql.postgres.shares import WAITING, Shares, Use

ANN, BOB, CY = (Use(large=True, reader=name) for name in ("ann", "bob", "cy"))
UNKNOWN, SMALL = Use(large=True), Use()


def admitted(shares: Shares, *uses: Use) -> list[bool]:
    return [shares.enter(use, 0) for use in uses]


def test_one_principal_has_half_of_the_half_for_large_results() -> None:
    shares = Shares(8)
    assert admitted(shares, ANN, ANN, ANN) == [True, True, False]
    assert admitted(shares, BOB, BOB, CY) == [True, True, False]


def test_principals_that_are_not_known_share_the_half() -> None:
    assert admitted(Shares(8), *[UNKNOWN] * 5) == [True] * 4 + [False]


def test_small_results_use_every_connection() -> None:
    shares = Shares(4)
    assert admitted(shares, ANN, SMALL, SMALL, SMALL, SMALL) == [True] * 4 + [False]


@pytest.mark.parametrize("connections", [1, 2, 3])
def test_every_principal_may_read_one(connections: int) -> None:
    shares = Shares(connections)
    for use in (ANN, BOB):
        assert shares.enter(use, 0)
        shares.leave(use)


def test_a_place_is_free_again_when_its_use_ends() -> None:
    shares = Shares(4)
    assert admitted(shares, ANN, ANN) == [True, False]
    shares.leave(ANN)
    assert admitted(shares, ANN) == [True]


def test_those_that_wait_longest_are_admitted_first() -> None:
    shares = Shares(1)
    order: list[int] = []
    assert shares.enter(SMALL, 0)
    threads = [waiting(shares, SMALL, lambda n=n: order.append(n)) for n in range(3)]
    shares.leave(SMALL)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def test_a_principal_over_its_share_keeps_nobody_waiting() -> None:
    shares = Shares(4)
    assert shares.enter(ANN, 0)
    thread = waiting(shares, ANN, lambda: None)
    assert admitted(shares, BOB) == [True]
    shares.leave(BOB)
    shares.leave(ANN)
    thread.join()


def test_a_principal_has_few_uses_waiting() -> None:
    shares = Shares(4)
    assert shares.enter(ANN, 0)
    threads = [waiting(shares, ANN, lambda: None) for _ in range(WAITING)]
    assert not shares.enter(ANN, 3600)
    shares.leave(ANN)
    for thread in threads:
        thread.join()


def test_a_use_that_was_not_admitted_leaves_nothing_behind() -> None:
    shares = Shares(1)
    assert shares.enter(SMALL, 0)
    assert not shares.enter(SMALL, 0.001)
    assert shares.waiting == 0
    shares.leave(SMALL)
    assert shares.enter(SMALL, 0)


def waiting(shares: Shares, use: Use, then: Callable[[], object]) -> threading.Thread:
    """A thread that waits to be admitted, and leaves after `then`."""
    before = shares.waiting

    def run() -> None:
        assert shares.enter(use, 60)
        then()
        shares.leave(use)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: shares.waiting > before)
    return thread
