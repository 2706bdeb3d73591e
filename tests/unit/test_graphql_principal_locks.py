"""Each principal plans one new query at a time."""

import threading

import pytest

from flight_service.graphql.errors import Busy
from flight_service.graphql.request.principal_locks import PrincipalLocks


def test_one_key_runs_once_at_a_time() -> None:
    turns = PrincipalLocks(0.001)
    refused: list[Busy] = []

    def take() -> None:
        with (
            pytest.raises(Busy, match="variables instead of new texts") as caught,
            turns.hold("a"),
        ):
            pass
        refused.append(caught.value)

    with turns.hold("a"):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert refused
    with turns.hold("a"):
        pass


def test_other_keys_do_not_wait() -> None:
    turns = PrincipalLocks(60)
    with turns.hold("a"), turns.hold("b"), turns.hold(None), turns.hold(None):
        pass


def test_an_error_ends_the_turn() -> None:
    turns = PrincipalLocks(0.001)
    with pytest.raises(ValueError, match="x"), turns.hold("a"):
        raise ValueError("x")
    with turns.hold("a"):
        pass
