"""GraphQL requests in the operational plane: written, replayed, rebuilt and read like events.

It covers for requests what several files cover for events, so it is longer than others.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
import test_ingestion
from conftest import JOB
from elasticsearch import Elasticsearch
from event_tables import DAY, STREAM, block, entry, event
from failing_steps import StepFailed, StepFailure
from request_messages import publish_payloads, publish_requests
from test_ingestion import (  # noqa: F401 - the contract of events, held by requests
    test_a_committed_range_is_not_written_again,
    test_a_range_is_written_completely_and_committed,
    test_a_range_that_failed_at_any_step_is_exact_after_a_retry,
    test_a_rebuild_that_failed_at_any_step_is_exact_after_a_retry,
    test_consecutive_ranges_add_up,
    test_every_step_is_interrupted_by_the_tests,
)

from fraiseql_assets.catalogue import OPERATIONAL_EVENTS, OPERATIONAL_REQUESTS
from fraiseql_assets.datasets import REQUESTS
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.ledger import write_entry
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.pipeline.dead_letter_replay import replay
from fraiseql_assets.pipeline.follow import Limits, follow
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.pipeline.rebuild import EventsWouldBeLost
from fraiseql_assets.pipeline.verify import verify_day
from fraiseql_assets.planes import Batching, Block, Plane, PlaneNotSetUp
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import other_plane, setup_all
from fraiseql_assets.stream import connection
from fraiseql_assets.stream.dead_letter_reader import read_dead_letters
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

COUNT = test_ingestion.EVENTS
Materialise = Callable[..., Report]


@pytest.fixture
def plane(settings: Settings) -> Iterator[Plane]:
    """The plane of requests, set up and empty."""
    with closing(OperationalPlane(settings, REQUESTS)) as plane:
        plane.setup()
        yield plane


@pytest.fixture
def other(plane: Plane, settings: Settings) -> Iterator[Plane]:
    """What a rebuild takes requests from that the log has lost: the plane itself."""
    with closing(other_plane(plane, settings)) as other:
        yield other


@pytest.fixture
def log(settings: Settings) -> Iterator[Log]:
    """The log of requests, set up and empty."""
    asyncio.run(setup_streams(settings))
    with Log(settings, name="tests", dataset=REQUESTS) as log:
        yield log


@pytest.fixture
def filled(log: Log, settings: Settings) -> Log:
    """The log with some requests in it."""
    publish_requests(settings, range(1, COUNT + 1))
    return log


@pytest.fixture
def server(settings: Settings) -> Iterator[Elasticsearch]:
    with closing(connect(settings, timeout=30)) as client:
        yield client


def day_of(log: Log) -> date:
    position = log.position_from(1)
    assert position is not None
    return position.day


def decoded(log: Log) -> pa.Table:
    """What the log holds."""
    batching = Batching(1_000, 2**20, 1_000, 2**20)
    batches = log.read(SequenceRange(1, log.bounds().last), batching, ahead=1)
    found = [batch for messages in batches for batch in REQUESTS.decode(messages).batches]
    return pa.Table.from_batches(found, REQUEST_SCHEMA)


def forget(settings: Settings, upto: int) -> None:
    """Makes the log drop its messages up to a sequence, as its limits do."""

    async def purge() -> None:
        async with connection.connect(settings, name="tests") as client:
            await client.jetstream().purge_stream(settings.request_stream, seq=upto + 1)

    asyncio.run(purge())


def contents(plane: Plane, day: date) -> pa.Table:
    return pa.Table.from_batches(plane.events(day, 2**62), REQUEST_SCHEMA)


def test_every_column_round_trips(
    plane: Plane, filled: Log, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane)
    reader, day = OperationalReader(settings), day_of(filled)
    assert contents(plane, day).equals(decoded(filled))
    [partition] = reader.partitions(OPERATIONAL_REQUESTS.key)
    assert (partition.day, partition.rows) == (day, COUNT)
    assert partition.materialised_at is not None
    read = pa.Table.from_batches(reader.batches(OPERATIONAL_REQUESTS.key), REQUEST_SCHEMA)
    assert read.equals(decoded(filled))
    assert reader.partitions(OPERATIONAL_EVENTS.key) == []


def test_variables_that_cannot_be_indexed_are_kept_as_text(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    variables = ('{"deep":' * 60 + "1" + "}" * 60, '{"a":1,"a":2}', "[1]", '{"": "", ".": 1}')
    head = '"query":"{ a }","status":"ok","transport":"http","timestamp":"2026-01-01T00:00:00Z"'
    publish_payloads(
        settings,
        *(f'{{"id":"{n}",{head},"variables":{v}}}'.encode() for n, v in enumerate(variables)),
    )
    report = ingest(plane)
    assert (report.rows, report.dead_letters) == (len(variables), 0)
    held = contents(plane, day_of(log))
    assert held["variables"].to_pylist() == list(variables)


def test_a_republished_request_counts_once(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    head = b'"query":"{ a }","status":"ok","transport":"http","timestamp":"2026-01-01T00:00:00Z"'
    publish_payloads(settings, *(b'{"id":"%d",%s}' % (number, head) for number in (1, 2, 1)))
    report = ingest(plane)
    assert (report.rows, report.duplicates) == (2, 1)
    assert plane.count(day_of(log)).rows == 2


def test_an_invalid_message_is_dead_lettered_once_and_replayed_after_a_fix(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    good = b'{"query":"{ a }","status":"ok","transport":"http","timestamp":"2026-01-01T00:00:00Z"}'
    publish_payloads(settings, good, b"not JSON", b"[]", good)
    with pytest.raises(StepFailed):
        ingest(StepFailure(2, after=True).on(plane))
    report = ingest(plane)
    assert (report.rows, report.dead_letters) == (2, 2)
    dead_letters = list(read_dead_letters(settings))
    assert {each.stream for each in dead_letters} == {settings.request_stream}
    assert replay(settings, dead_letters).published == 2
    assert log.bounds().last == 6
    assert list(read_dead_letters(settings)) == []
    # The cause is not fixed: they are dead-letter messages again, under their new sequences.
    assert ingest(plane, 5, 6).dead_letters == 2


def test_an_interrupted_replay_publishes_no_request_twice(
    plane: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    publish_payloads(settings, b"not JSON")
    ingest(plane)
    [dead_letter] = read_dead_letters(settings)

    async def store_note() -> None:
        async with connection.connect(settings, name="tests") as client:
            note = f"{settings.dead_letter_stream}.replay.requests"
            await client.jetstream().publish(note, b"1")

    replay(settings, [dead_letter])
    asyncio.run(store_note())
    assert replay(settings, [dead_letter]).published == 1
    assert log.bounds().last == 2


def test_a_replayed_request_is_written_to_the_plane_once(
    plane: Plane, filled: Log, ingest: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, COUNT - 1)
    last = SequenceRange(COUNT, COUNT)
    [message] = filled.read(last, Batching(1, 1, 1, 1), ahead=1)
    filled.store_dead_letters(plane.name, [message.reject(0, "refused")])
    [dead_letter] = read_dead_letters(settings)
    assert replay(settings, [dead_letter]).written == 1
    assert replay(settings, [dead_letter]).written == 1
    assert contents(plane, day_of(filled)).equals(decoded(filled))
    assert sum(held.rows for held in plane.ledger(filled.stream)) == COUNT


def test_a_row_is_republished_unchanged(plane: Plane, filled: Log) -> None:
    rows = decoded(filled)
    [batch] = rows.combine_chunks().to_batches()
    payloads = [message.payload for message in REQUESTS.encode(batch, "again")]
    [messages] = filled.read(SequenceRange(1, COUNT), Batching(1_000, 2**30, 1, 1), ahead=1)
    messages.payloads[:] = payloads
    [again] = REQUESTS.decode(messages).batches
    assert pa.Table.from_batches([again]).equals(rows)


def test_a_day_partly_deleted_from_the_log_keeps_the_rows_of_the_plane(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    ingest(plane, 1, 200)
    before, day = decoded(filled), day_of(filled)
    forget(settings, 120)
    report = rebuild(plane, day)
    assert (report.source, report.rows) == ("operational+log", COUNT)
    assert contents(plane, day).equals(before)
    assert verify_day(plane, filled, day).is_complete


def test_a_day_deleted_from_the_log_is_rebuilt_from_the_plane(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    ingest(plane)
    before, day = decoded(filled), day_of(filled)
    forget(settings, COUNT)
    report = rebuild(plane, day)
    assert (report.source, report.rows) == ("operational", COUNT)
    assert contents(plane, day).equals(before)


def test_a_rebuild_that_would_lose_a_request_is_refused(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise
) -> None:
    ingest(plane)
    day = day_of(filled)
    stray = decoded(filled).slice(0, 1).to_pylist()[0] | {"request_id": "stray"}
    rows = pa.Table.from_pylist([stray], schema=REQUEST_SCHEMA)
    plane.write(Block(rows, filled.stream, SequenceRange(1, 1), day, 0, "stray"))
    with pytest.raises(EventsWouldBeLost, match=r"requests of .* that the log no longer gives"):
        rebuild(plane, day)
    assert plane.count(day).rows == COUNT + 1


def test_a_run_follows_the_log_of_requests(plane: Plane, filled: Log) -> None:
    limits = Limits(seconds=600.0, quiet_seconds=0.5, range_messages=100)
    followed = follow(
        plane,
        filled,
        day_of(filled),
        JOB,
        limits,
        first=SequenceRange(1, COUNT),
        reason_to_end=lambda: None,
        progress=lambda _: None,
    )
    assert followed.report.rows == COUNT
    assert verify_day(plane, filled, day_of(filled)).is_complete


def test_events_and_requests_of_a_plane_are_independent(
    plane: Plane, filled: Log, ingest: Materialise, rebuild: Materialise, settings: Settings
) -> None:
    with closing(OperationalPlane(settings)) as events:
        events.setup()
        day = day_of(filled)
        events.write(block([event(1), event(2)], day=day))
        events.record(entry(1, 2, state="committed", rows=2, messages=2, day=day))
        ingest(plane)
        rebuild(plane)
        assert events.count(day).rows == 2
        assert [held.rows for held in events.ledger(STREAM)] == [2]
        reader = OperationalReader(settings)
        [of_events] = reader.partitions(OPERATIONAL_EVENTS.key)
        [of_requests] = reader.partitions(OPERATIONAL_REQUESTS.key)
        assert (of_events.rows, of_requests.rows) == (2, COUNT)
        assert of_events.materialised_at != of_requests.materialised_at


def test_requests_have_their_own_retention(
    plane: Plane, server: Elasticsearch, settings: Settings
) -> None:
    own = settings.model_copy(update={"retention_request_days": 3, "retention_raw_days": 40})
    today = datetime.now(UTC).date()
    old, kept = today - timedelta(days=3), today - timedelta(days=2)
    with (
        closing(OperationalPlane(own, REQUESTS)) as requests,
        closing(OperationalPlane(own)) as events,
    ):
        said = [*requests.setup(), *events.setup()]
        for each in (requests, events):
            stream = each.dataset.stream(own)
            for day in (old, kept):
                each.record(entry(1, 5, stream=stream, day=day))
        requests.enforce_retention(today)
        events.enforce_retention(today)
        left = {e.day for e in requests.ledger(own.request_stream)}
        assert (left, len(events.ledger(own.stream))) == ({kept}, 2)
    if "lifecycle" in said[0]:
        assert said[0].endswith("-requests: keeps 3 days")
        template = f"{settings.index_prefix}-requests"
        [held] = server.indices.get_index_template(name=template)["index_templates"]
        assert held["index_template"]["index_patterns"] == [f"{template}-*"]


def test_setup_adds_requests_to_an_installation_of_events(
    settings: Settings, server: Elasticsearch
) -> None:
    """As a release left it that knew no requests: entries that name no dataset, one template."""
    names = Names.of(settings)
    with closing(OperationalPlane(settings)) as events:
        events.setup()
        events.write(block([event(1), event(2)]))
        write_entry(server, names, entry(1, 2, state="committed", rows=2, messages=2))
        [hit] = server.search(index=names.ledger)["hits"]["hits"]
        del hit["_source"]["dataset"]
        server.index(index=names.ledger, id=hit["_id"], document=hit["_source"], refresh=True)
        with closing(OperationalPlane(settings, REQUESTS)) as requests:
            for ask in (requests.ping, lambda: requests.write(_one_request(settings))):
                with pytest.raises(PlaneNotSetUp, match="fraiseql-assets setup"):
                    ask()
            setup_all(settings)
            requests.ping()
            requests.write(_one_request(settings))
            dropped = requests.enforce_retention(datetime.now(UTC).date() + timedelta(60))
            assert all("-requests-" in line for line in dropped)
        assert events.count(DAY).rows == 2
        reader = OperationalReader(settings)
        [partition] = reader.partitions(OPERATIONAL_EVENTS.key)
        assert (partition.rows, partition.materialised_at is not None) == (2, True)
        assert [held.rows for held in events.ledger(STREAM)] == [2]


def _one_request(settings: Settings) -> Block:
    row = {
        "request_id": "r-1",
        "timestamp": datetime.now(UTC),
        "operation_type": "query",
        "query": "{ a }",
        "query_hash": "",
        "variables": json.dumps({"a": 1}),
        "transport": "http",
        "status": "ok",
        "error_codes": [],
        "error_messages": [],
        "stream_seq": 1,
        "stream_row": 0,
        "stream_time": datetime.now(UTC),
    }
    table = pa.Table.from_pylist([row], schema=REQUEST_SCHEMA)
    return Block(table, settings.request_stream, SequenceRange(1, 1), DAY, 0, "one")
