"""Requests and a connection to the log that callers share."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pyarrow as pa
import pytest
from stacks import wait_until

from flight_service.coalescing import CoalescedRequests
from flight_service.extents import Extents
from flight_service.flights import Extent, Flight
from flight_service.stream_client import SharedLog
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.stream.connection import LogUnavailable


class Server:
    """Answers with the number of the question, when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = threading.Event()
        self.failure: Exception | None = None

    def answer(self) -> int:
        self.asked += 1
        number = self.asked
        assert self.may_answer.wait(60)
        if self.failure:
            raise self.failure
        return number


@pytest.fixture
def many() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def all_started(pool: ThreadPoolExecutor, work: Callable[[], int], count: int) -> list[Future[int]]:
    """Calls `work` in as many threads, all of which have begun."""
    begun = threading.Semaphore(0)

    def begin() -> int:
        begun.release()
        return work()

    calls = [pool.submit(begin) for _ in range(count)]
    for _ in calls:
        begun.acquire()
    return calls


def test_waiting_calls_share_one_later_request(many: ThreadPoolExecutor) -> None:
    server, requests = Server(), CoalescedRequests[int]()
    first = many.submit(requests.run, "key", server.answer)
    wait_until(lambda: server.asked == 1)
    others = all_started(many, lambda: requests.run("key", server.answer), 10)
    server.may_answer.set()
    assert first.result(60) == 1
    # None of them has an answer that is older than its call.
    assert all(other.result(60) >= 2 for other in others)


def test_one_key_has_one_request_at_a_time(many: ThreadPoolExecutor) -> None:
    server, requests = Server(), CoalescedRequests[int]()
    calls = all_started(many, lambda: requests.run("key", server.answer), 20)
    wait_until(lambda: server.asked == 1)
    assert server.asked == 1
    server.may_answer.set()
    for call in calls:
        call.result(60)


def test_requests_of_other_keys_do_not_wait(many: ThreadPoolExecutor) -> None:
    server, requests = Server(), CoalescedRequests[int]()
    slow = many.submit(requests.run, "slow", server.answer)
    assert requests.run("other", lambda: 5) == 5
    server.may_answer.set()
    slow.result(60)


def test_all_waiting_calls_get_the_error(many: ThreadPoolExecutor) -> None:
    server, requests = Server(), CoalescedRequests[int]()
    server.failure = LogUnavailable("down")
    calls = all_started(many, lambda: requests.run("key", server.answer), 5)
    server.may_answer.set()
    for call in calls:
        with pytest.raises(LogUnavailable):
            call.result(60)
    assert requests.run("key", lambda: 7) == 7


def test_an_error_of_an_extent_is_raised() -> None:
    def fail(_: Cancellation) -> Extent:
        raise LogUnavailable("down")

    failing = Flight(pa.schema([]), lambda _: iter(()), fail, extent_key="key")
    extents = Extents(60)
    with pytest.raises(LogUnavailable):
        extents.extent(failing)
    assert "down" in extents.extents([failing])[0].about["error"]


class Connections:
    """Counts logs that are open."""

    def __init__(self) -> None:
        self.opened = self.is_open = 0
        self.is_down = False

    @contextmanager
    def open(self) -> Iterator[int]:
        self.opened += 1
        if self.is_down:
            raise LogUnavailable("down")
        self.is_open += 1
        try:
            yield self.opened
        finally:
            self.is_open -= 1


def test_concurrent_users_share_a_connection_that_the_last_closes() -> None:
    connections = Connections()
    shared = SharedLog(connections.open)
    with ExitStack() as users:
        assert {users.enter_context(shared.opened()) for _ in range(5)} == {1}
        assert connections.is_open == 1
    assert connections.is_open == 0
    with shared.opened() as log:
        assert log == 2


def test_a_connection_that_failed_is_not_given_to_new_users() -> None:
    connections = Connections()
    shared = SharedLog(connections.open)
    with shared.opened():
        with pytest.raises(LogUnavailable), shared.opened():
            raise LogUnavailable("it broke")
        with shared.opened() as log:
            assert log == 2
    assert connections.is_open == 0


def test_opening_the_log_is_retried_after_an_error() -> None:
    connections = Connections()
    shared = SharedLog(connections.open)
    connections.is_down = True
    with pytest.raises(LogUnavailable), shared.opened():
        pass
    connections.is_down = False
    with shared.opened() as log:
        assert log == 2
