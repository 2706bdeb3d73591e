"""Positions in the log."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from log_server import add_stream, consumers, delete, drop, settings_for, store_payloads, streams
from nats.js.api import StreamConfig

from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, StreamMissing
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.position import Bounds, LogPosition


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    with streams(nats_url) as settings:
        yield settings


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    with Log(settings, name="tests") as log:
        yield log


def fill(settings: Settings, count: int) -> None:
    store_payloads(settings, (b"%d" % n for n in range(count)))


def test_an_empty_stream_has_no_last_message(log: Log) -> None:
    bounds = log.bounds()
    assert (bounds.last, bounds.messages, bounds.bytes) == (0, 0, 0)


def test_bounds_are_the_first_and_last_sequence(settings: Settings, log: Log) -> None:
    fill(settings, 10)
    bounds = log.bounds()
    assert (bounds.first, bounds.last, bounds.messages) == (1, 10, 10)


def test_bounds_follow_deletions_at_the_front(settings: Settings, log: Log) -> None:
    fill(settings, 10)
    delete(settings, [1, 2, 3, 5])
    bounds = log.bounds()
    assert (bounds.first, bounds.last, bounds.messages) == (4, 10, 6)


def test_an_emptied_stream_starts_after_its_last_sequence(settings: Settings, log: Log) -> None:
    fill(settings, 3)
    delete(settings, [1, 2, 3])
    assert log.bounds() == Bounds(first=4, last=3, messages=0, bytes=0)


def test_a_position_is_that_of_the_next_existing_message(settings: Settings, log: Log) -> None:
    fill(settings, 5)
    delete(settings, [2, 3])
    today = datetime.now(UTC).date()
    assert log.position_from(1) == LogPosition(1, today)
    assert log.position_from(2) == LogPosition(4, today)
    assert log.position_from(6) is None


def test_a_day_is_one_range(settings: Settings, log: Log) -> None:
    before = datetime.now(UTC).date()
    fill(settings, 20)
    ranges = [log.day_range(before + timedelta(days=n)) for n in (-1, 0, 1, 2)]
    # Where midnight passed while the test ran, the messages lie on either side of it.
    assert sum(len(sequences) for sequences in ranges if sequences) == 20
    assert ranges[0] is None


def test_a_day_starts_at_its_first_remaining_message(settings: Settings, log: Log) -> None:
    fill(settings, 20)
    delete(settings, [1, 2, 20])
    ranges = [log.day_range(datetime.now(UTC).date() + timedelta(days=n)) for n in (-1, 0)]
    assert min(sequences.first for sequences in ranges if sequences) == 3
    assert max(sequences.last for sequences in ranges if sequences) == 20


def test_a_day_begins_with_its_first_message(settings: Settings, log: Log) -> None:
    today = datetime.now(UTC).date()
    assert log.first_of_day(today) is None
    fill(settings, 2)
    assert log.first_of_day(today - timedelta(days=400)) == 1
    assert log.first_of_day(today + timedelta(days=2)) is None


@pytest.mark.parametrize(
    ("sequences", "count"),
    [
        (SequenceRange(1, 100), 95),
        (SequenceRange(1, 1), 0),
        (SequenceRange(2, 10), 9),
        (SequenceRange(48, 52), 2),
        (SequenceRange(100, 100), 0),
        (SequenceRange(90, 10_000), 10),
        (SequenceRange(101, 200), 0),
    ],
)
def test_deleted_messages_are_not_counted(
    settings: Settings, log: Log, sequences: SequenceRange, count: int
) -> None:
    fill(settings, 100)
    delete(settings, [1, 49, 50, 51, 100])
    assert log.count_messages(sequences) == count


def test_counting_leaves_no_consumer_behind(settings: Settings, log: Log) -> None:
    fill(settings, 3)
    log.count_messages(SequenceRange(1, 3))
    assert consumers(settings) == 0


def test_a_stream_without_direct_gets_is_reported(nats_url: str) -> None:
    settings = settings_for(nats_url)
    add_stream(settings, StreamConfig(name=settings.stream, subjects=settings.subjects))
    try:
        with (
            Log(settings, name="tests") as log,
            pytest.raises(LogError, match=r"no direct get on stream .*Run `fraiseql-assets setup`"),
        ):
            log.position_from(1)
    finally:
        asyncio.run(drop(settings))


def test_the_server_has_a_name_and_version(log: Log) -> None:
    server = log.server()
    assert server.version.startswith("2.")
    assert server.max_payload == 8 * 2**20


def test_every_request_to_a_missing_stream_reports_it(nats_url: str) -> None:
    settings = settings_for(nats_url)
    said = rf"NATS has no stream {settings.stream}\. Run `fraiseql-assets setup`, or set FRAISEQL"
    sequences, today = SequenceRange(1, 10), datetime.now(UTC).date()
    with Log(settings, name="tests") as log:
        for ask in (
            log.bounds,
            lambda: log.position_from(1),
            lambda: log.first_of_day(today),
            lambda: log.day_range(today),
            lambda: log.count_messages(sequences),
        ):
            with pytest.raises(StreamMissing, match=said):
                ask()
