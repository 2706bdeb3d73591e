"""One cancellation that waits for the network delays no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import pytest
from pyarrow import flight

from flight_service.cancellation import (
    CancellationMiddleware,
    Cancellations,
    pause_between_polls,
)
from flight_service.graphql.errors import StreamStalled
from flight_service.graphql.postgres import database
from flight_service.graphql.postgres.connection_shares import Use
from flight_service.graphql.postgres.database import Transaction
from flight_service.graphql.postgres.pool import ConnectionPool
from flight_service.graphql.postgres.stalled_streams import Pause, Stalls

SECONDS = 30


class Call:
    """The context of a streaming call whose client can disconnect."""

    def __init__(self, calls: Cancellations) -> None:
        self._middleware = CancellationMiddleware(calls)
        self.is_gone = False

    def get_middleware(self, key: str) -> CancellationMiddleware:
        return self._middleware

    def is_cancelled(self) -> bool:
        return self.is_gone


@pytest.fixture
def network() -> Iterator[threading.Event]:
    """What a cancellation waits for; it is set at the end of the test."""
    answered = threading.Event()
    yield answered
    answered.set()


@contextmanager
def streaming(calls: Cancellations, act: Any) -> Iterator[Call]:
    call = Call(calls)
    calls.watch(cast(flight.ServerCallContext, call)).then(act)
    yield call
    calls.remove(call.get_middleware(Cancellations.KEY))


def test_a_disconnect_is_noticed_while_another_is_being_cancelled(
    network: threading.Event,
) -> None:
    calls = Cancellations()
    begun, cancelled = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        network.wait()

    with streaming(calls, slow) as first, streaming(calls, cancelled.set) as second:
        first.is_gone = True
        assert begun.wait(SECONDS)
        second.is_gone = True
        assert cancelled.wait(SECONDS)
        assert not network.is_set()


def test_an_unread_stream_is_cancelled_while_another_is_being_cancelled(
    network: threading.Event,
) -> None:
    stalls = Stalls(0.01)
    begun, cancelled = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        network.wait()

    def wait_for_reader(pause: Pause, until: threading.Event) -> None:
        with suppress(StreamStalled), stalls.paused(pause):
            until.wait(SECONDS)

    for act, until in ((slow, begun), (cancelled.set, cancelled)):
        reader = threading.Thread(
            target=wait_for_reader, args=(Pause(act), until), daemon=True, name="reader"
        )
        reader.start()
        assert until.wait(SECONDS)
    assert not network.is_set()
    stalls.close()


def test_a_transaction_ends_while_its_cancellation_waits_for_the_server(
    network: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released = threading.Event(), threading.Event()

    class Connection:
        def cancel(self) -> None:
            begun.set()
            network.wait()

    class OneConnection:
        adbc = Connection()

        def release(self, *, usable: bool) -> None:
            assert not usable
            released.set()

    class Pool:
        def acquire(self, use: Use) -> OneConnection:
            return OneConnection()

    monkeypatch.setattr(database, "execute", lambda connection, sql: None)
    monkeypatch.setattr(Transaction, "set", lambda self, settings: None)
    transaction = Transaction(cast(ConnectionPool, Pool()), Stalls(SECONDS), {}, None, SECONDS)
    transaction.__enter__()
    threading.Thread(target=transaction.cancel, daemon=True).start()
    assert begun.wait(SECONDS)
    leaving = threading.Thread(target=transaction.__exit__, args=(None, None, None), daemon=True)
    leaving.start()
    leaving.join(SECONDS)
    assert not leaving.is_alive()
    network.set()
    assert released.wait(SECONDS)


@pytest.mark.parametrize(
    ("calls", "pause"), [(0, 0.02), (1, 0.02), (30, 0.02), (60, 0.04), (150, 0.1)]
)
def test_many_calls_are_polled_less_often(calls: int, pause: float) -> None:
    assert pause_between_polls(calls) == pytest.approx(pause)
