"""Planes with rows, and the Flight service in a separate process, for its tests."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
from clickhouse_requests import ask_clickhouse
from pyarrow import flight
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.http import HttpServer, application
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.exposition import watched
from flight_service.monitoring.metrics import Metrics
from flight_service.monitoring.readiness import readiness
from flight_service.registry import registry
from flight_service.server import FlightServer
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.generate import generate
from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import begun_entry, committed_entry
from fraiseql_assets.pipeline.job import Job, Report, default_batching
from fraiseql_assets.planes import Block, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.request_log.publisher import request_log
from fraiseql_assets.settings import Settings, variable
from fraiseql_assets.stream.position import midnight
from fraiseql_assets.stream.setup import setup_streams

SECONDS = 30
KEPT = ("PATH", "HOME", "PYTHONFAULTHANDLER")
"""The variables that every process needs."""


NOWHERE = {
    "nats_url": SecretStr("nats://127.0.0.1:1"),
    "clickhouse_url": SecretStr("http://127.0.0.1:1/nowhere"),
    "elasticsearch_url": SecretStr("http://127.0.0.1:1"),
    "probe_timeout_seconds": 1.0,
}
"""Settings of servers that do not answer."""
FREE = {"flight_url": "grpc://127.0.0.1:0", "http_url": "http://127.0.0.1:0"}
WIDE_BYTES = 20_000


def events_of(day: date, count: int, first: int) -> pa.Table:
    """Events that the log stored on that day, starting at a sequence."""
    made = pa.Table.from_batches(generate(count, seed=first, start=midnight(day)))
    stored = [midnight(day)] * count
    places = {
        "stream_seq": pa.array(range(first, first + count), pa.uint64()),
        "stream_row": pa.array([0] * count, pa.uint32()),
        "stream_time": pa.array(stored, TIMESTAMP),
    }
    for name, column in places.items():
        made = made.append_column(name, column)
    return made.cast(EVENT_SCHEMA)


def wide_events(day: date, count: int) -> pa.Table:
    """Events that are large for their number, from the first sequence on."""
    events = events_of(day, count, first=1)
    place = events.column_names.index("data")
    data = pa.array([json.dumps({"text": "x" * WIDE_BYTES})] * count)
    return events.set_column(place, EVENT_SCHEMA.field("data"), data)


def fill(plane: Plane, settings: Settings, day: date, events: pa.Table) -> None:
    """Writes a day's events and commits them, as a run does."""
    sequences = SequenceRange(events["stream_seq"][0].as_py(), events["stream_seq"][-1].as_py())
    entry = begun_entry(
        settings.stream, sequences, day, Job("test", 1, default_batching(settings), 1)
    )
    plane.record(entry)
    plane.write(Block(events, settings.stream, sequences, day, 0, f"{settings.stream}-{sequences}"))
    plane.record(committed_entry(entry, Report(messages=len(sequences), rows=events.num_rows)))


def fill_planes(settings: Settings, days: Sequence[date], rows: int) -> None:
    """Sets up both planes, and writes the same events into each, so many per day."""
    planes = AnalyticsPlane(settings), OperationalPlane(settings)
    set_up(settings, *planes)
    for plane in planes:
        for number, day in enumerate(days):
            fill(plane, settings, day, events_of(day, rows, first=1 + number * rows))
        plane.close()


def eventually(holds: Callable[[], bool]) -> bool:
    """Waits until it holds. Returns whether it does in time."""
    deadline = time.monotonic() + SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def running_queries(settings: Settings) -> int:
    """The queries of events that ClickHouse works on for these settings."""
    counted = ask_clickhouse(
        settings.clickhouse_url.get_secret_value(),
        "SELECT count() FROM system.processes WHERE position(query, 'FROM fraiseql_events') > 0"
        " AND current_database = currentDatabase() AND position(query, 'processes') = 0",
    )
    return int(counted)


def set_up(settings: Settings, *planes: Plane) -> None:
    asyncio.run(setup_streams(settings))
    for plane in planes:
        plane.setup()


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, added to those that every process needs."""
    variables = {name: os.environ[name] for name in KEPT if name in os.environ}
    for name in settings.model_dump(exclude_defaults=True):
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        text = str(value) if isinstance(value, str | Path) else json.dumps(value)
        variables[variable(name)] = text
    return variables


@dataclass(frozen=True)
class Service:
    """A running Flight service."""

    settings: Settings
    """Settings with its addresses."""
    client: flight.FlightClient

    @property
    def http_url(self) -> str:
        """The address of its HTTP side."""
        return self.settings.http_url


@dataclass(frozen=True)
class ServiceProcess(Service):
    """A Flight service in a process of its own."""

    process: subprocess.Popen[str]
    log: list[str]
    """The lines that it has logged so far."""
    reading: threading.Thread
    """Reads the log as it is written, so that the service never waits for room in the pipe."""

    def ended(self) -> int:
        """Waits until it ends and its log is read. Returns its exit code."""
        code = self.process.wait(SECONDS)
        self.reading.join(SECONDS)
        return code


@contextmanager
def serving(settings: Settings, **changes: object) -> Iterator[Service]:
    """The service with these settings in this process, which spares loading its libraries again."""
    settings = settings.model_copy(update={**FREE, **changes})
    http = Address.parse(settings.http_url, "", "http")
    bound = http.listen()
    recorder = request_log(settings)
    served = registry(settings, recorder)
    observer = Observer(Metrics(served.samplers), logs=settings.call_log)
    server = FlightServer(
        Address.parse(settings.flight_url, "", "grpc"), settings, served, observer
    )
    ready = readiness(settings, served.probes)
    watching = watched(application(served.routes, settings), settings, observer, ready)
    web = HttpServer(bound, watching, settings.http_connections)
    urls = {
        "flight_url": str(server.address),
        "http_url": str(http.with_port(bound.getsockname()[1])),
    }
    try:
        with flight.connect(urls["flight_url"]) as client:
            yield Service(settings.model_copy(update=urls), client)
    finally:
        web.stop(SECONDS)
        server.stop(SECONDS)
        recorder.close()


@contextmanager
def serving_alone(settings: Settings, **changes: object) -> Iterator[ServiceProcess]:
    """Starts `python -m flight_service` with these settings on free ports."""
    settings = settings.model_copy(update={**FREE, **changes})
    process = subprocess.Popen(
        [sys.executable, "-m", "flight_service"],
        env=environment(settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    log: list[str] = []
    reading = threading.Thread(target=log.extend, args=(process.stderr,), daemon=True)
    try:
        told = process.stderr.readline()
        found = re.fullmatch(r"Flight at (\S+), HTTP at (\S+?)(?:, health at (\S+))?\n", told)
        assert found, told + process.communicate()[1]
        urls = {"flight_url": found[1], "http_url": found[2], "health_url": found[3]}
        taken = settings.model_copy(update=urls)
        reading.start()
        with flight.connect(taken.flight_url) as client:
            yield ServiceProcess(taken, client, process, log, reading)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)
        if reading.is_alive():
            reading.join(SECONDS)
        process.stderr.close()
