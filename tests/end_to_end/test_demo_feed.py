"""The demo's feed on a real log: the history once, in every shape, then live events."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_postgresql.dbapi as dbapi
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from fraiseql_assets.events.decode import decode
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams
from local_stack.demo import DemoError, feed, on_database
from local_stack.demo.feed import PAST_DAYS, Position
from local_stack.demo.history import History, history_of
from local_stack.demo.shop import TABLES, make_shop
from local_stack.demo.tpch import make_tables

ROOT = Path(__file__).parents[2]
SCALE = 0.015
RATE = 50.0
BATCHING = Batching(batch_messages=1_000, batch_bytes=2**24, block_rows=1_000, block_bytes=2**24)


@pytest.fixture(scope="module")
def history() -> History:
    return history_of(make_shop(make_tables(SCALE, TABLES)))


@pytest.fixture
def log_settings(nats_url: str) -> Iterator[Settings]:
    """Settings of a log of the test's own."""
    name = f"demo_{secrets.token_hex(4)}"
    settings = Settings(
        nats_url=SecretStr(nats_url),
        stream=f"{name}_events",
        subjects=[f"{name}.mutation.>", f"{name}._none_.*"],
        subject_prefix=f"{name}.mutation",
        dead_letter_stream=f"{name}_dead_letters",
    )
    asyncio.run(setup_streams(settings))
    yield settings
    asyncio.run(drop(settings))


async def drop(settings: Settings) -> None:
    async with connect(settings, name="test") as client:
        jetstream = client.jetstream()
        await jetstream.delete_stream(settings.stream)
        await jetstream.delete_stream(settings.dead_letter_stream)
        with contextlib.suppress(NotFoundError):
            await jetstream.delete_key_value(feed.bucket(settings))


async def feed_until(settings: Settings, history: History, messages: int) -> Position:
    """Feeds until the log holds so many messages."""
    stop = asyncio.Event()
    running = asyncio.create_task(feed.run(settings, history, scale=SCALE, rate=RATE, stop=stop))
    async with connect(settings, name="test") as client:
        jetstream = client.jetstream()
        while not running.done():
            if (await jetstream.stream_info(settings.stream)).state.messages >= messages:
                stop.set()
            await asyncio.sleep(0.02)
    return await running


def events_of(settings: Settings) -> pa.Table:
    with Log(settings, name="test") as log:
        bounds = log.bounds()
        sequences = SequenceRange(bounds.first, bounds.last)
        decoded = [decode(messages) for messages in log.read(sequences, BATCHING, ahead=2)]
    assert [reject for part in decoded for reject in part.rejects] == []
    return pa.Table.from_batches([batch for part in decoded for batch in part.batches])


def test_past_events_are_published_once_before_current_ones(
    log_settings: Settings, history: History
) -> None:
    first, present = history.last_days(PAST_DAYS), history.present
    reached = asyncio.run(feed_until(log_settings, history, messages=1))
    assert reached.next > first
    reached = asyncio.run(feed_until(log_settings, history, messages=2_200))
    assert reached.next > present

    events = events_of(log_settings)
    assert events["seq"].to_pylist() == list(range(first + 1, reached.next + 1))
    assert len(set(events["event_id"].to_pylist())) == events.num_rows

    began = pa.scalar(reached.began, pa.timestamp("us", "UTC"))
    live = pc.greater_equal(events["timestamp"], began).to_pylist()
    assert live == [number >= present for number in range(first, reached.next)]
    times = events["timestamp"].to_pylist()
    assert times == sorted(times)


def test_events_of_every_shape_are_published(log_settings: Settings, history: History) -> None:
    asyncio.run(feed_until(log_settings, history, messages=1))
    events = events_of(log_settings)
    shapes = Counter(
        "cdc" if source else "arrow" if row else "observer"
        for source, row in zip(
            events["cdc_source"].to_pylist(), events["stream_row"].to_pylist(), strict=True
        )
    )
    # Each chunk of the past ends so, and more than one may be out before the stop is noticed. The
    # first row of an Arrow message counts as an observer event here.
    chunks, rest = divmod(shapes["cdc"], feed.CDC_EVENTS)
    assert chunks >= 1
    assert rest == 0
    assert shapes["observer"] >= chunks * feed.OBSERVER_EVENTS
    assert shapes["arrow"] > 8_000


def test_a_log_of_another_scale_is_refused(log_settings: Settings, history: History) -> None:
    asyncio.run(feed_until(log_settings, history, messages=1))
    stop = asyncio.Event()
    with pytest.raises(DemoError, match=r"scale 0\.015 and seed 0, and not of scale 0\.05"):
        asyncio.run(feed.run(log_settings, history, scale=0.05, rate=RATE, stop=stop))


def test_the_command_loads_and_publishes_until_it_is_stopped(
    log_settings: Settings, database_url: str, tmp_path: Path
) -> None:
    url = on_database(database_url, f"demo_{secrets.token_hex(4)}")
    environment = {
        **os.environ,
        "FRAISEQL_NATS_URL": log_settings.nats_url.get_secret_value(),
        "FRAISEQL_DATABASE_URL": url,
        "FRAISEQL_STREAM": log_settings.stream,
        "FRAISEQL_SUBJECTS": json.dumps(log_settings.subjects),
        "FRAISEQL_SUBJECT_PREFIX": log_settings.subject_prefix,
    }
    command = [sys.executable, "-m", "local_stack.demo", "--scale", "0.001", "--rate", "20"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=out, stderr=out)
    while "database is loaded" not in (told := log.read_text()) or "from now on" not in told:
        assert process.poll() is None, told
        time.sleep(0.05)
    process.terminate()
    assert process.wait(30) == 0, log.read_text()
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tv_order")
        assert cursor.fetchone() == (1_500,)
    assert events_of(log_settings).num_rows > 800
