"""The Flight service during outages, disconnects and shutdown.

All tests share one start of the service, so the file is longer than others.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from flights import (
    NOWHERE,
    SECONDS,
    ServiceProcess,
    events_of,
    eventually,
    fill,
    running_queries,
    serving_alone,
    set_up,
    wide_events,
)
from pyarrow import flight

from flight_service.assets import Asset
from flight_service.errors import sentence_of
from flight_service.log_source import LogSource
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

DAY = datetime.now(UTC).date() - timedelta(days=2)
WIDE_ROWS = 5_000


@pytest.fixture(scope="module")
def with_wide_events(module_settings: Settings) -> Iterator[ServiceProcess]:
    """A service over 100 MB of events in the analytics plane."""
    plane = AnalyticsPlane(module_settings)
    set_up(module_settings, plane)
    fill(plane, module_settings, DAY, wide_events(DAY, WIDE_ROWS))
    plane.close()
    with serving_alone(module_settings) as service:
        yield service


def test_a_cancelled_stream_cancels_its_query(with_wide_events: ServiceProcess) -> None:
    reader = with_wide_events.client.do_get(flight.Ticket(b"analytics/events"))
    reader.read_chunk()
    assert running_queries(with_wide_events.settings) == 1
    reader.cancel()
    assert eventually(lambda: running_queries(with_wide_events.settings) == 0)


def test_memory_does_not_grow_with_the_result(with_wide_events: ServiceProcess) -> None:
    process = psutil.Process(with_wide_events.process.pid)
    idle, most, rows = process.memory_info().rss, 0, 0
    for chunk in with_wide_events.client.do_get(flight.Ticket(b"analytics/events")):
        rows += chunk.data.num_rows
        most = max(most, process.memory_info().rss - idle)
    assert rows == WIDE_ROWS
    assert most < 64 * 2**20


def test_a_plane_is_served_while_the_other_is_down(settings: Settings) -> None:
    plane = OperationalPlane(settings)
    set_up(settings, plane)
    fill(plane, settings, DAY, events_of(DAY, 10, first=1))
    plane.close()
    with serving_alone(settings, clickhouse_url=NOWHERE["clickhouse_url"]) as service:
        listed = {f.descriptor.path[0]: f for f in service.client.list_flights()}
        read = service.client.do_get(flight.Ticket(b"operational/events")).read_all()
        with pytest.raises(flight.FlightUnavailableError) as caught:
            service.client.do_get(flight.Ticket(b"analytics/events")).read_all()
    assert listed[b"operational/events"].total_records == read.num_rows == 10
    reason = json.loads(listed[b"analytics/events"].app_metadata)["error"]
    assert reason.startswith("ClickHouse does not answer.")
    assert sentence_of(caught.value).startswith("ClickHouse does not answer.")


@pytest.fixture(scope="module")
def alone() -> Iterator[ServiceProcess]:
    """A service that can reach nothing."""
    with serving_alone(Settings(**NOWHERE)) as service:
        yield service


def test_flights_are_listed_with_reasons_while_every_server_is_down(alone: ServiceProcess) -> None:
    listed = {f.descriptor.path[0]: json.loads(f.app_metadata) for f in alone.client.list_flights()}
    reasons = {name.split(b"/")[0]: about["error"] for name, about in listed.items()}
    assert {plane: reason.split()[0] for plane, reason in reasons.items()} == {
        b"stream": "NATS",
        b"analytics": "ClickHouse",
        b"operational": "Elasticsearch",
    }


@pytest.mark.parametrize("ticket", ["stream/events", "operational/events", '{"type":"Tail"}'])
def test_errors_of_unavailable_servers_say_what_to_check(
    alone: ServiceProcess, ticket: str
) -> None:
    with pytest.raises(
        flight.FlightUnavailableError, match=r"does not answer.*Check that"
    ) as error:
        alone.client.do_get(flight.Ticket(ticket.encode())).read_all()
    assert "Traceback" not in str(error.value)
    assert "127.0.0.1" not in sentence_of(error.value)


def test_missing_tables_ask_for_setup(settings: Settings) -> None:
    with serving_alone(settings) as service, pytest.raises(flight.FlightUnavailableError) as caught:
        service.client.do_get(flight.Ticket(b"analytics/events")).read_all()
    assert "Run `fraiseql-assets setup`" in sentence_of(caught.value)


def test_health_is_answered_while_every_server_is_down(alone: ServiceProcess) -> None:
    [answer] = alone.client.do_action("HealthCheck")
    over_http = requests.get(f"{alone.settings.http_url}/health", timeout=SECONDS)
    over_flight = json.loads(answer.body.to_pybytes())
    assert (over_http.status_code, over_http.json()["status"]) == (200, "healthy")
    assert over_http.json().keys() == over_flight.keys() == {"status", "version", "timestamp"}
    assert abs(over_flight["timestamp"] - time.time()) < 2 * SECONDS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_cleanly(number: signal.Signals) -> None:
    with serving_alone(Settings(**NOWHERE)) as service:
        service.process.send_signal(number)
        assert (service.ended(), service.log) == (0, [])


def test_a_signal_ends_the_service_while_a_client_follows(settings: Settings) -> None:
    set_up(settings)
    with serving_alone(settings) as service:
        reader = service.client.do_get(flight.Ticket(b'{"type":"Tail"}'))
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(flight.FlightUnavailableError, match=r"The service is stopping\."):
            reader.read_chunk()
        assert service.ended() == 0


def test_a_killed_client_leaves_no_statement_or_thread(settings: Settings) -> None:
    set_up(settings)
    follow = (
        "import sys; from pyarrow import flight; client = flight.connect(sys.argv[1]);"
        """reader = client.do_get(flight.Ticket(b'{"type":"Tail"}')); print("there", flush=True);"""
        "reader.read_chunk()"
    )
    log = urlsplit(settings.nats_url.get_secret_value()).port
    with serving_alone(settings) as service:
        process = psutil.Process(service.process.pid)

        def connections() -> int:
            held = process.net_connections("tcp")
            return sum(bool(found.raddr) and found.raddr.port == log for found in held)

        client = subprocess.Popen(
            [sys.executable, "-c", follow, service.settings.flight_url], stdout=subprocess.PIPE
        )
        assert client.stdout
        assert client.stdout.readline() == b"there\n"
        assert connections() == 1
        client.kill()
        client.communicate()
        assert eventually(lambda: connections() == 0)


def test_many_tails_share_one_connection_to_the_log(settings: Settings) -> None:
    set_up(settings)
    log = urlsplit(settings.nats_url.get_secret_value()).port
    with serving_alone(settings) as service:
        process = psutil.Process(service.process.pid)
        threads = process.num_threads()
        ticket = flight.Ticket(b'{"type":"Tail"}')
        readers = [service.client.do_get(ticket) for _ in range(30)]
        held = process.net_connections("tcp")
        assert sum(bool(found.raddr) and found.raddr.port == log for found in held) == 1
        # gRPC has a thread for each call, and some that wait for the next.
        assert process.num_threads() - threads < 2 * len(readers)
        asyncio.run(publish_generated(settings, count=50, shape="observer"))
        for reader in readers:
            sequences: list[int] = []
            while len(sequences) < 50:
                sequences += reader.read_chunk().data["stream_seq"].to_pylist()
            assert sequences == [*range(1, 51)]
            reader.cancel()


def test_requests_for_the_state_of_the_log_share_one_connection(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(settings)
    source = LogSource(settings)
    opened: list[Log] = []
    enter = Log.__enter__
    monkeypatch.setattr(Log, "__enter__", lambda log: opened.append(log) or enter(log))
    with source.log.opened(), ThreadPoolExecutor(8) as pool:
        days = [Asset(asset=source.key, partition=DAY + timedelta(days=n)) for n in range(30)]
        found = pool.map(lambda one: source.extent(one, Cancellation()), days)
        assert [extent.parts for extent in found] == [()] * 30
    assert len(opened) == 1
