"""Work of which each principal does one piece at a time."""

import threading

import pytest

from flight_service.graphql.errors import Busy
from flight_service.graphql.request.turns import Turns


def test_one_key_runs_once_at_a_time() -> None:
    turns = Turns(0.001)
    refused: list[Busy] = []

    def take() -> None:
        with (
            pytest.raises(Busy, match="variables instead of new texts") as caught,
            turns.taken("a"),
        ):
            pass
        refused.append(caught.value)

    with turns.taken("a"):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
    assert refused
    with turns.taken("a"):
        pass


def test_other_keys_do_not_wait() -> None:
    turns = Turns(60)
    with turns.taken("a"), turns.taken("b"), turns.taken(None), turns.taken(None):
        pass


def test_an_error_ends_the_turn() -> None:
    turns = Turns(0.001)
    with pytest.raises(ValueError, match="x"), turns.taken("a"):
        raise ValueError("x")
    with turns.taken("a"):
        pass
