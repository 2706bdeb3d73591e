"""Publishing returns after the log has stored the message; nothing is stored twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from log_server import nats_server, read, settings_for, store, streams

from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, StreamMissing
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from fraiseql_assets.stream.setup import setup_streams


@pytest.fixture
def settings(nats_url: str) -> Iterator[Settings]:
    with streams(nats_url) as settings:
        yield settings


def messages(settings: Settings, count: int, first: int = 0) -> list[Outgoing]:
    subject = f"{settings.subject_prefix}.Order.INSERT"
    return [
        Outgoing(subject, b"%d" % n, {"Nats-Msg-Id": f"m-{n}"}) for n in range(first, first + count)
    ]


def held(settings: Settings) -> int:
    with Log(settings, name="tests") as log:
        return log.bounds().messages


def test_acknowledged_messages_are_stored(settings: Settings) -> None:
    published = store(settings, messages(settings, 2_500))
    assert (published.messages, published.events, published.duplicates) == (2_500, 2_500, 0)
    assert held(settings) == 2_500


def test_a_message_id_is_stored_once(settings: Settings) -> None:
    store(settings, messages(settings, 100))
    published = store(settings, messages(settings, 100, first=50))
    assert published.duplicates == 50
    assert held(settings) == 150


@pytest.mark.parametrize("shape", ["observer", "cdc", "arrow"])
def test_generated_events_of_every_shape_are_read_back_as_events(
    settings: Settings, shape: str
) -> None:
    # A CDC event lies under a subject of its own, which the test's stream does not capture.
    if shape == "cdc":
        settings = settings_for(
            settings.nats_url.get_secret_value(), subjects=["fraiseql._none_.*"]
        )
        asyncio.run(setup_streams(settings))
    asyncio.run(publish_generated(settings, count=3_000, shape=shape, seed=3))
    found = [decode(batch) for batch in read(settings, 1, 3_000)]
    table = pa.Table.from_batches([batch for each in found for batch in each.batches])
    assert table.num_rows == 3_000
    assert len(set(table["event_id"].to_pylist())) == 3_000
    assert [reject for each in found for reject in each.rejects] == []


def test_events_of_the_same_seed_are_stored_once(settings: Settings) -> None:
    first, again = (
        asyncio.run(publish_generated(settings, count=200, shape="observer", seed=9))
        for _ in range(2)
    )
    assert (first.duplicates, again.duplicates) == (0, 200)
    assert held(settings) == 200


def test_progress_is_reported_to_the_end(settings: Settings) -> None:
    told: list[int] = []
    work = publish_generated(
        settings, count=2_200, shape="observer", seed=1, on_progress=told.append
    )
    asyncio.run(work)
    assert told == sorted(told)
    assert told[-1] == 2_200


def test_a_subject_that_no_stream_captures_is_reported(settings: Settings) -> None:
    with pytest.raises(StreamMissing, match=r"no stream captures nobody\.listens\. Run `fraise"):
        store(settings, [Outgoing("nobody.listens", b"", {})])


def test_a_message_above_the_server_limit_is_reported(settings: Settings) -> None:
    large = Outgoing(f"{settings.subject_prefix}.X.INSERT", b"x" * 9_000_000, {})
    with pytest.raises(LogError, match=r"has 9,000,000 bytes; the server takes 8,388,608\. Raise"):
        store(settings, [large])


def test_a_full_stream_is_reported(tmp_path: Path) -> None:
    with nats_server(tmp_path, "jetstream { max_file_store: 1MB }") as server:
        settings = settings_for(server.url)
        asyncio.run(setup_streams(settings))
        large = Outgoing(f"{settings.subject_prefix}.X.INSERT", b"x" * 600_000, {})
        with pytest.raises(LogError, match="NATS refuses a message: insufficient resources"):
            store(settings, [large, large, large])
