"""A range of the log is read exactly, whatever it contains."""

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from log_server import (
    BATCHING,
    consumers,
    delete,
    nats_server,
    payloads,
    read,
    sequences,
    settings_for,
    store,
    store_payloads,
    streams,
)

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.messages import parse_headers
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import reader
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

MIB = 2**20
COUNT = 12_000
HOLES = {1, 2, 500, *range(3_000, 3_010), *range(9_990, 10_010), 11_999, 12_000}


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    with streams(nats_url) as settings:
        yield settings


@pytest.fixture(scope="module")
def full(nats_url: str) -> Iterator[Settings]:
    """A log of 12,000 messages, more than two pulls ask for, with holes."""
    with streams(nats_url) as settings:
        store_payloads(settings, (b"%d" % n for n in range(1, COUNT + 1)))
        delete(settings, HOLES)
        yield settings


def there(first: int, last: int) -> list[int]:
    return [n for n in range(first, min(last, COUNT) + 1) if n not in HOLES]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (1, COUNT),
        (1, 1),
        (3, 3),
        (4_000, 9_000),
        (4_000, 4_000),
        (499, 501),
        (500, 500),
        (2_995, 3_015),
        (3_000, 3_009),
        (9_989, 10_010),
        (5_000, 5_001),
        (11_990, COUNT),
        (COUNT, COUNT),
        (11_000, 10 * COUNT),
        (COUNT + 1, COUNT + 5),
        (2, 10_001),
    ],
)
def test_a_range_has_each_message_once_in_order(full: Settings, first: int, last: int) -> None:
    batches = read(full, first, last)
    assert sequences(batches) == there(first, last)
    assert payloads(batches) == [b"%d" % n for n in there(first, last)]


@given(st.integers(1, COUNT), st.integers(0, 6_000))
@hypothesis_settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_range_is_exact(full: Settings, first: int, length: int) -> None:
    assert sequences(read(full, first, first + length)) == there(first, first + length)


def test_a_range_can_be_read_again(full: Settings) -> None:
    assert read(full, 100, 5_000) == read(full, 100, 5_000)


def test_batches_end_at_their_message_limit(full: Settings) -> None:
    sizes = [len(batch) for batch in read(full, 4_000, 6_499, Batching(1_000, MIB, 1, 1))]
    assert sizes == [1_000, 1_000, 500]


def test_batches_end_at_their_byte_limit(settings: Settings) -> None:
    store_payloads(settings, [b"x" * 400, b"x" * 400, b"x" * 300, b"x" * 5_000, b"", b"x" * 10])
    sizes = [len(batch) for batch in read(settings, 1, 6, Batching(1_000, 1_000, 1, 1))]
    assert sizes == [3, 1, 2]


def test_messages_have_payload_headers_and_metadata(settings: Settings) -> None:
    headers = {"Nats-Msg-Id": "m-1", "Content-Type": "text/plain; a=b", "Trace": "a:b"}
    subjects = [f"{settings.subject_prefix}.Order.INSERT", f"{settings.subject_prefix}.É.x"]
    store(settings, [Outgoing(subjects[0], b"{}", headers), Outgoing(subjects[1], b"", {})])
    [batch] = read(settings, 1, 2)
    assert batch.subjects == subjects
    assert [parse_headers(block) for block in batch.headers] == [headers, {}]
    assert batch.payloads == [b"{}", b""]
    assert batch.times[0] <= batch.times[1]
    assert abs(batch.times[0] - batch.times[1]) < 60 * 10**9


def test_payloads_that_look_like_protocol_lines_are_payloads(settings: Settings) -> None:
    sent = [
        b"\r\n",
        b"PING\r\n",
        b"+OK\r\nMSG a 1 $JS.ACK.a.b.1.1.1.1.0 2\r\n{}\r\n",
        b"\0\xff" * 9,
    ]
    store_payloads(settings, sent)
    assert payloads(read(settings, 1, 4)) == sent


def test_small_and_large_messages_can_be_mixed(settings: Settings) -> None:
    sent = [bytes([n]) * size for n, size in enumerate([0, 8 * MIB, 1, 5 * MIB, 2] * 2)]
    store_payloads(settings, sent)
    assert payloads(read(settings, 1, 10)) == sent


def test_messages_of_nine_megabytes_are_read(tmp_path: Path) -> None:
    with nats_server(tmp_path, "max_payload: 16MB") as server:
        settings = settings_for(server.url)
        asyncio.run(setup_streams(settings))
        sent = [bytes([n]) * 9_000_000 for n in range(5)]
        store_payloads(settings, sent)
        assert payloads(read(settings, 1, 5)) == sent


def test_reading_leaves_no_consumer_behind(full: Settings) -> None:
    read(full, 1, 6_000)
    assert consumers(full) == 0


def test_an_abandoned_read_leaves_no_consumer_behind(full: Settings) -> None:
    with Log(full, name="tests") as log:
        batches = log.read(SequenceRange(1, COUNT), BATCHING, ahead=1)
        next(batches)
        batches.close()
    gc.collect()
    assert consumers(full) == 0


def test_several_readers_can_read_at_once(full: Settings) -> None:
    with Log(full, name="tests") as log:
        ranges = [SequenceRange(1, 3_000), SequenceRange(2_000, 9_000), SequenceRange(1, COUNT)]
        running = [log.read(sequences, BATCHING, ahead=1) for sequences in ranges]
        read_by_turns: list[list[int]] = [[] for _ in ranges]
        while True:
            step = [next(batches, None) for batches in running]
            for held, batch in zip(read_by_turns, step, strict=True):
                held += batch.sequences if batch else []
            if not any(step):
                break
    assert read_by_turns == [there(sequences.first, sequences.last) for sequences in ranges]


def test_messages_deleted_during_a_read_are_omitted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PULL_MESSAGES", 50)
    # The server waits as long for messages that it promised and no longer has.
    monkeypatch.setattr(reader, "STALL_SECONDS", 0.5)
    store_payloads(settings, (b"%d" % n for n in range(500)))
    with Log(settings, name="tests") as log:
        batches = log.read(SequenceRange(1, 500), Batching(20, MIB, 1, 1), ahead=1)
        got = [next(batches)]
        delete(settings, [400, *range(450, 501)])
        got += list(batches)
    assert sequences(got) == [*range(1, 400), *range(401, 450)]
