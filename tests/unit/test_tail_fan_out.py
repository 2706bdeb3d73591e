"""All tails share one reader of the log, over a log in memory."""

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from flight_service.tail_fan_out import EventsGone, FanOut, FollowedLog
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.events.encode import observer_messages
from fraiseql_assets.events.generate import generate
from fraiseql_assets.events.messages import Messages
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.stream.connection import LogUnavailable
from fraiseql_assets.stream.position import Bounds

BATCHING = Batching(10, 2**20, 10, 2**20)


class FakeLog:
    """A log in memory, and how it was used."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.opened = 0
        self.is_open = 0
        self.read_ranges: list[SequenceRange] = []
        self.is_down = False
        self.first = 1
        self.closed = threading.Event()

    def publish(self, count: int) -> None:
        for batch in generate(count, seed=len(self.messages)):
            made = observer_messages(batch, "fraiseql.mutation")
            self.messages += [(one.subject, one.payload) for one in made]

    @contextmanager
    def open(self) -> Iterator[FollowedLog]:
        if self.is_down:
            raise LogUnavailable("NATS does not answer.")
        self.opened += 1
        self.is_open += 1
        try:
            yield self
        finally:
            self.is_open -= 1
            self.closed.set()

    def bounds(self) -> Bounds:
        if self.is_down:
            raise LogUnavailable("NATS does not answer.")
        return Bounds(self.first, len(self.messages), len(self.messages), 0)

    def read(
        self, sequences: SequenceRange, batching: Batching, *, ahead: int
    ) -> Generator[Messages]:
        self.read_ranges.append(sequences)
        for first in range(sequences.first, sequences.last + 1, batching.batch_messages):
            numbers = range(first, min(first + batching.batch_messages, sequences.last + 1))
            found = [self.messages[number - 1] for number in numbers]
            yield Messages(
                [*numbers],
                [0] * len(numbers),
                [subject for subject, _ in found],
                [b""] * len(numbers),
                [payload for _, payload in found],
            )


@contextmanager
def following(
    events: FanOut, cancellation: Cancellation | None = None, first: int | None = None
) -> Iterator[Iterator[int]]:
    """The sequences that a client gets which has begun to follow."""
    batches = events.follow(cancellation or Cancellation(), first)
    try:
        assert next(batches) == []
        yield (
            sequence
            for found in batches
            for batch in found
            for sequence in batch["stream_seq"].to_pylist()
        )
    finally:
        batches.close()


def take(sequences: Iterator[int], count: int) -> list[int]:
    return [next(sequences) for _ in range(count)]


def test_many_clients_share_one_reader_of_the_log() -> None:
    log = FakeLog()
    log.publish(5)
    events = FanOut(log.open, BATCHING)
    before = threading.active_count()
    with ExitStack() as stack:
        clients = [stack.enter_context(following(events)) for _ in range(50)]
        assert threading.active_count() == before + 1
        log.publish(25)
        assert [take(client, 25) for client in clients] == [[*range(6, 31)]] * 50
        assert (log.opened, log.is_open) == (1, 1)
        assert sum(map(len, log.read_ranges)) == 25
    assert log.closed.wait(10)
    assert log.is_open == 0


def test_a_client_gets_what_is_published_after_it_began() -> None:
    log = FakeLog()
    events = FanOut(log.open, BATCHING)
    with following(events) as first:
        log.publish(3)
        assert take(first, 3) == [1, 2, 3]
        with following(events) as second:
            log.publish(2)
            assert take(second, 2) == [4, 5]
        assert take(first, 2) == [4, 5]


def test_a_slow_client_delays_no_other_and_misses_nothing() -> None:
    log = FakeLog()
    # The first events fit whatever their size, and nothing beside them.
    events = FanOut(log.open, BATCHING, buffer_bytes=1)
    with following(events) as slow, following(events) as fast:
        log.publish(200)
        # It reads the log itself, as its buffer is full at once too.
        assert take(fast, 200) == [*range(1, 201)]
        log.publish(50)
        assert take(slow, 250) == [*range(1, 251)]
        assert take(fast, 50) == [*range(201, 251)]
        log.publish(10)
        assert take(slow, 10) == take(fast, 10) == [*range(251, 261)]


def test_a_client_that_is_cancelled_is_not_waited_for() -> None:
    log = FakeLog()
    cancellation = Cancellation()
    with following(FanOut(log.open, BATCHING), cancellation) as client:
        threading.Timer(0.05, cancellation.cancel).start()
        assert [*client] == []
    assert log.closed.wait(10)


def test_a_log_that_is_down_is_an_error_and_is_followed_again_later() -> None:
    log = FakeLog()
    events = FanOut(log.open, BATCHING)
    with following(events) as one, following(events) as other:
        log.is_down = True
        for client in (one, other):
            with pytest.raises(LogUnavailable):
                next(client)
    with pytest.raises(LogUnavailable):
        next(events.follow(Cancellation()))
    log.is_down = False
    with following(events) as client:
        log.publish(1)
        assert take(client, 1) == [1]


def test_a_recreated_stream_is_followed_from_its_first_message() -> None:
    log = FakeLog()
    log.publish(20)
    with following(FanOut(log.open, BATCHING)) as client:
        log.publish(1)
        assert take(client, 1) == [21]
        log.messages = log.messages[:3]
        assert take(client, 3) == [1, 2, 3]
        log.publish(1)
        assert take(client, 1) == [4]


def test_a_client_starts_at_a_sequence_and_continues_with_new_messages() -> None:
    log = FakeLog()
    log.publish(30)
    events = FanOut(log.open, BATCHING)
    with following(events, first=12) as client:
        assert take(client, 19) == [*range(12, 31)]
        log.publish(5)
        assert take(client, 5) == [*range(31, 36)]


def test_a_client_that_starts_in_the_past_gets_each_message_once() -> None:
    log = FakeLog()
    log.publish(30)
    events = FanOut(log.open, BATCHING)
    with following(events) as now:
        for round in range(20):
            with following(events, first=25) as client:
                log.publish(3)
                last = 30 + 3 * (round + 1)
                assert take(client, last - 24) == [*range(25, last + 1)]
        assert take(now, 60) == [*range(31, 91)]


def test_a_message_that_the_log_deleted_is_an_error_for_the_client() -> None:
    log = FakeLog()
    log.publish(30)
    log.first = 20
    gone = pytest.raises(EventsGone, match="no longer holds sequence 12: it begins at 20")
    with following(FanOut(log.open, BATCHING), first=12) as client, gone:
        next(client)


def test_an_idle_client_gets_empty_ticks() -> None:
    log = FakeLog()
    batches = FanOut(log.open, BATCHING).follow(Cancellation(), tick_seconds=0.01)
    assert [next(batches) for _ in range(3)] == [[], [], []]
    batches.close()
