"""Which connection requests are admitted, and in which order."""

import threading
from collections.abc import Callable

import pytest
from stacks import wait_until

from flight_service.graphql.postgres.connection_shares import WAITING, Shares, Use

ANN, BOB, CY = (Use(large=True, reader=name) for name in ("ann", "bob", "cy"))
UNKNOWN, SMALL = Use(large=True), Use()


def admitted(shares: Shares, *uses: Use) -> list[bool]:
    return [shares.enter(use, 0) for use in uses]


def test_large_results_of_one_principal_use_a_quarter_of_the_connections() -> None:
    shares = Shares(8)
    assert admitted(shares, ANN, ANN, ANN) == [True, True, False]
    assert admitted(shares, BOB, BOB, CY) == [True, True, False]


def test_unknown_principals_share_half_of_the_connections() -> None:
    assert admitted(Shares(8), *[UNKNOWN] * 5) == [True] * 4 + [False]


def test_small_results_use_every_connection() -> None:
    shares = Shares(4)
    assert admitted(shares, ANN, SMALL, SMALL, SMALL, SMALL) == [True] * 4 + [False]


@pytest.mark.parametrize("connections", [1, 2, 3])
def test_every_principal_may_read_one_large_result(connections: int) -> None:
    shares = Shares(connections)
    for use in (ANN, BOB):
        assert shares.enter(use, 0)
        shares.leave(use)


def test_a_share_is_released_when_its_use_ends() -> None:
    shares = Shares(4)
    assert admitted(shares, ANN, ANN) == [True, False]
    shares.leave(ANN)
    assert admitted(shares, ANN) == [True]


def test_waiting_uses_are_admitted_in_order() -> None:
    shares = Shares(1)
    order: list[int] = []
    assert shares.enter(SMALL, 0)
    threads = [waiting(shares, SMALL, lambda n=n: order.append(n)) for n in range(3)]
    shares.leave(SMALL)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]


def test_a_principal_above_its_share_delays_no_other() -> None:
    shares = Shares(4)
    assert shares.enter(ANN, 0)
    thread = waiting(shares, ANN, lambda: None)
    assert admitted(shares, BOB) == [True]
    shares.leave(BOB)
    shares.leave(ANN)
    thread.join()


def test_waiting_uses_of_a_principal_are_limited() -> None:
    shares = Shares(4)
    assert shares.enter(ANN, 0)
    threads = [waiting(shares, ANN, lambda: None) for _ in range(WAITING)]
    assert not shares.enter(ANN, 3600)
    shares.leave(ANN)
    for thread in threads:
        thread.join()


def test_a_use_that_was_not_admitted_holds_no_share() -> None:
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
