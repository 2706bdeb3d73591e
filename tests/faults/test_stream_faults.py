"""The log while its server is down, frozen, silent, or misconfigured."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_server import (
    BATCHING,
    NatsServer,
    nats_server,
    payloads,
    sequences,
    settings_for,
    store_payloads,
    streams,
)
from pyarrow import flight
from pydantic import SecretStr
from writing_service import events, last, stored, wait_until, writing_service

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import reader
from fraiseql_assets.stream.connection import LogUnavailable, StreamMissing, connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from fraiseql_assets.stream.setup import setup_streams

COUNT = 6_000
SPAN = SequenceRange(1, COUNT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with nats_server(tmp_path) as server:
        yield server


@pytest.fixture
def settings(server: NatsServer) -> Settings:
    """A log of 6,000 messages on a server of the test's own."""
    settings = settings_for(server.url)
    asyncio.run(setup_streams(settings))
    store_payloads(settings, (b"%d" % n for n in range(1, COUNT + 1)))
    return settings


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of small pulls that waits briefly."""
    monkeypatch.setattr(reader, "PULL_MESSAGES", 200)
    monkeypatch.setattr(reader, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(reader, "RETRY_SECONDS", 0.05)


# While a range is read.


@pytest.mark.usefixtures("short_timeouts")
def test_a_read_continues_after_the_server_restarts(server: NatsServer, settings: Settings) -> None:
    with Log(settings, name="tests", reconnect_seconds=10) as log:
        batches = log.read(SPAN, BATCHING, ahead=1)
        got = [next(batches)]
        for _ in range(2):
            server.kill()
            server.start()
            got.append(next(batches))
        got += batches
    assert sequences(got) == list(range(1, COUNT + 1))
    assert payloads(got) == [b"%d" % n for n in range(1, COUNT + 1)]


@pytest.mark.usefixtures("short_timeouts")
def test_a_read_continues_after_the_server_was_frozen(
    server: NatsServer, settings: Settings
) -> None:
    with Log(settings, name="tests", reconnect_seconds=10) as log:
        batches = log.read(SPAN, BATCHING, ahead=1)
        got = [next(batches)]
        server.freeze()
        # Longer than the reader waits: it gives the connection up and makes others, in vain.
        threading.Timer(2.0, server.thaw).start()
        got += batches
    assert sequences(got) == list(range(1, COUNT + 1))


@pytest.mark.usefixtures("short_timeouts")
def test_a_failed_read_reports_the_last_sequence(
    server: NatsServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "GIVE_UP_SECONDS", 1.0)
    with Log(settings, name="tests", reconnect_seconds=10) as log:
        batches = log.read(SPAN, BATCHING, ahead=1)
        next(batches)
        server.freeze()
        said = rf"delivered nothing of stream {settings.stream} from sequence \d+ on for 1 s"
        with pytest.raises(LogUnavailable, match=said):
            list(batches)
        server.thaw()


@pytest.mark.usefixtures("short_timeouts")
def test_a_slow_consumer_is_not_a_server_timeout(
    server: NatsServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "GIVE_UP_SECONDS", 1.0)
    with Log(settings, name="tests", reconnect_seconds=10) as log:
        batches = log.read(SPAN, BATCHING, ahead=1)
        got = [next(batches)]
        threading.Event().wait(1.5)
        server.kill()
        server.start()
        got += batches
    assert sequences(got) == list(range(1, COUNT + 1))


def test_a_stream_that_is_missing_is_reported_when_it_is_read(nats_url: str) -> None:
    settings = settings_for(nats_url)
    with (
        Log(settings, name="tests") as log,
        pytest.raises(StreamMissing, match=rf"no stream {settings.stream}\. Run"),
    ):
        list(log.read(SPAN, BATCHING, ahead=1))


# While it is published.


def test_messages_published_during_a_restart_are_stored_once(server: NatsServer) -> None:
    settings = settings_for(server.url)
    asyncio.run(setup_streams(settings))
    half = threading.Event()

    def restart() -> None:
        half.wait(30)
        server.kill()
        server.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    published = asyncio.run(
        publish_generated(
            settings,
            count=5_000,
            shape="observer",
            seed=4,
            on_progress=lambda done: half.set() if done >= 2_000 else None,
        )
    )
    restarting.join()
    assert published.events == 5_000
    with Log(settings, name="tests") as log:
        assert log.bounds().messages == 5_000


def test_a_log_that_restarts_during_a_write_has_each_event_once(tmp_path: Path) -> None:
    with nats_server(tmp_path) as nats:
        settings = settings_for(nats.url)
        asyncio.run(setup_streams(settings))
        with writing_service(settings, writable=["events"]) as service:
            batches = events(300, seed=21)
            service.put("events", batches[:1])
            nats.freeze()
            writer, _ = service.client.do_put(
                flight.FlightDescriptor.for_path("events"), batches[0].schema
            )
            writer.write_batch(batches[0])
            nats.kill()
            nats.start()
            writer.write_batch(batches[1])
            writer.write_batch(batches[2])
            writer.close()
            wait_until(lambda: last(settings) == 3)
            assert stored(settings, 1).num_rows == 300


# When it is not there, or does not let us in.


def test_an_unreachable_server_is_reported_without_the_password() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(nats_url=SecretStr(f"nats://me:secret@127.0.0.1:{port}"))
    with pytest.raises(LogUnavailable) as said, Log(settings, name="tests"):
        pass
    text = str(said.value)
    assert text.startswith(f"NATS at nats://127.0.0.1:{port} does not answer (")
    assert text.endswith("Check that the server runs and that FRAISEQL_NATS_URL names it.")


def test_a_frozen_server_is_reported(server: NatsServer) -> None:
    server.freeze()
    with (
        pytest.raises(LogUnavailable, match=r"does not answer .*Check that the server runs"),
        Log(settings_for(server.url, probe_timeout_seconds=0.3), name="tests"),
    ):
        pass


def test_a_lost_connection_is_reported(server: NatsServer, settings: Settings) -> None:
    with Log(settings, name="tests") as log:
        server.kill()
        with pytest.raises(LogUnavailable, match="did not tell the bounds of stream"):
            log.bounds()
    server.start()


def test_a_server_without_jetstream_is_reported(tmp_path: Path) -> None:
    with nats_server(tmp_path, options=()) as server:
        settings = settings_for(server.url)
        with (
            Log(settings, name="tests") as log,
            pytest.raises(LogUnavailable, match="is it switched on"),
        ):
            log.bounds()
        with pytest.raises(LogUnavailable, match="is it switched on"):
            asyncio.run(setup_streams(settings))


USERS = """
authorization { users = [ { user: "me", password: "it's/a p@ss" } ] }
"""


@pytest.mark.parametrize("credentials", ["", "me:wrong@", "you:it's%2Fa%20p%40ss@", "me@"])
def test_wrong_credentials_are_reported(tmp_path: Path, credentials: str) -> None:
    with nats_server(tmp_path, USERS) as server:
        settings = Settings(nats_url=SecretStr(server.url.replace("//", f"//{credentials}")))
        with (
            pytest.raises(LogUnavailable, match=r"refuses the credentials\. Check the user"),
            Log(settings, name="tests"),
        ):
            pass


@pytest.mark.parametrize(
    ("configuration", "credentials"),
    [(USERS, "me:it's%2Fa%20p%40ss@"), ('authorization { token: "a t/ken" }', "a%20t%2Fken@")],
)
def test_credentials_of_the_address_are_used_by_both_clients(
    tmp_path: Path, configuration: str, credentials: str
) -> None:
    with nats_server(tmp_path, configuration) as server:
        settings = settings_for(server.url.replace("//", f"//{credentials}"))
        asyncio.run(setup_streams(settings))
        store_payloads(settings, [b"1", b"2"])
        with Log(settings, name="tests") as log:
            assert payloads(log.read(SequenceRange(1, 2), BATCHING, ahead=1)) == [b"1", b"2"]


@pytest.mark.usefixtures("short_timeouts")
def test_a_reader_whose_credentials_are_refused_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "GIVE_UP_SECONDS", 0.2)
    with nats_server(tmp_path, USERS) as server:
        wrong = Settings(nats_url=SecretStr(server.url.replace("//", "//me:wrong@")))
        with pytest.raises(LogUnavailable, match="refuses the credentials"):
            list(reader.read_range(wrong, "events", SPAN, batch_messages=1, batch_bytes=1))


def test_one_reachable_server_of_several_is_enough(nats_url: str) -> None:
    with streams(nats_url) as settings:
        store_payloads(settings, [b"1"])
        several = settings.model_copy(
            update={"nats_url": SecretStr(f"nats://127.0.0.1:1,{nats_url}")}
        )
        with Log(several, name="tests") as log:
            assert payloads(log.read(SequenceRange(1, 1), BATCHING, ahead=1)) == [b"1"]


def test_a_missing_dead_letter_stream_is_reported(nats_url: str) -> None:
    settings = settings_for(nats_url)
    with (
        Log(settings, name="tests") as log,
        pytest.raises(StreamMissing, match=r"no stream for dead-letter messages\. Run `fraiseql"),
    ):
        log.store_dead_letters("decode", [Reject(1, 1, "s", {}, b"", "reason")])


def test_a_connection_is_closed_after_its_block(nats_url: str) -> None:
    async def work() -> bool:
        async with connect(settings_for(nats_url), name="tests") as client:
            assert client.is_connected
        return client.is_closed

    assert asyncio.run(work())
