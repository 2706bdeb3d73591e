"""Checks of every connection, version, permission and setting, each with a suggested fix."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import requests

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.cli.bridge_lag import bridge_lag
from fraiseql_assets.cli.flight_client import FlightProblem, health
from fraiseql_assets.datasets import DATASETS, EVENTS, Dataset
from fraiseql_assets.endpoints import of_running_stack
from fraiseql_assets.one_line import one_line
from fraiseql_assets.planes import Plane, PlaneError, PlaneOff
from fraiseql_assets.settings import DEFAULT_DATA_DIR, Settings
from fraiseql_assets.setup import PLANES, open_planes
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log

BRIDGE_SECONDS = 60
"""A row that waits for longer than this is worth a warning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    state: Literal["ok", "warning", "wrong"]
    said: str


def examine(settings: Settings) -> Iterator[Finding]:
    """Runs the checks one after another. A failed check does not stop the others."""
    yield from _settings(settings)
    yield from _log(settings)
    for dataset in DATASETS.values():
        for plane in open_planes(settings, dataset):
            yield from _plane(plane)
    for name in PLANES:
        if not settings.has_plane(name):
            yield Finding(f"{name} plane", "ok", str(PlaneOff(name)))
    yield _probe("Flight service", lambda: _flight(settings))
    yield _probe("Dagster", lambda: _dagster(settings))
    yield _probe("PostgreSQL", lambda: _postgres(settings))
    yield from _bridge(settings)


def _settings(settings: Settings) -> Iterator[Finding]:
    kept, raw = settings.stream_max_age_days, settings.retention_raw_days
    if kept < raw:
        yield Finding(
            "settings",
            "warning",
            f"The log keeps {kept} days and the planes {raw}: days {kept} to {raw} back cannot be "
            "replayed from the log. Raise FRAISEQL_STREAM_MAX_AGE_DAYS.",
        )
    elif settings.batch_rows > settings.block_rows:
        yield Finding(
            "settings",
            "warning",
            "FRAISEQL_BATCH_ROWS is above FRAISEQL_BLOCK_ROWS, so batches are cut again.",
        )
    else:
        yield Finding("settings", "ok", "fit together")


def _log(settings: Settings) -> Iterator[Finding]:
    where = without_credentials(settings.nats_url.get_secret_value())
    try:
        with Log(settings, name="fraiseql-assets doctor") as log:
            server = log.server()
            yield Finding("NATS", "ok", f"{where}, version {server.version}")
            if server.max_payload < 8 * 2**20:
                yield Finding(
                    "NATS max_payload",
                    "warning",
                    f"{server.max_payload:,} bytes; Arrow batches are split to fit. "
                    "8 MiB is advised: set max_payload in the server's configuration.",
                )
            yield _dead_letters(log, settings)
            yield _store(log)
    except LogError as error:
        yield Finding("NATS", "wrong", str(error))
        return
    for dataset in DATASETS.values():
        yield from _stream(settings, dataset)


def _dead_letters(log: Log, settings: Settings) -> Finding:
    what = f"stream {settings.dead_letter_stream}"
    try:
        count = log.count_dead_letters()
    except LogError as error:
        return Finding(what, "wrong", str(error))
    return Finding(what, "warning" if count else "ok", f"{count:,} dead-letter messages")


def _store(log: Log) -> Finding:
    try:
        log.probe_write()
    except LogError as error:
        return Finding("NATS store", "wrong", str(error))
    return Finding("NATS store", "ok", f"takes writes{_room()}")


def _room() -> str:
    """The free disk space of a running local stack."""
    if of_running_stack(DEFAULT_DATA_DIR) is None:
        return ""
    return f", {shutil.disk_usage(DEFAULT_DATA_DIR).free / 2**30:,.1f} GiB of its disk are free"


def _stream(settings: Settings, dataset: Dataset) -> Iterator[Finding]:
    what = f"stream {dataset.stream(settings)}"
    try:
        with Log(settings, name="fraiseql-assets doctor", dataset=dataset) as log:
            for setting in log.unsuitable_settings():
                if not setting.fatal:
                    yield Finding(what, "warning", str(setting))
            yield Finding(what, "ok", f"{log.bounds().messages:,} messages")
    except LogError as error:
        yield Finding(what, "wrong", str(error))


def _plane(plane: Plane) -> Iterator[Finding]:
    what = f"{plane.name} plane"
    if plane.dataset is not EVENTS:
        what = f"{what}, {plane.dataset.name}"
    with closing(plane):
        try:
            plane.ping()
            yield Finding(what, "ok", plane.describe())
        except PlaneError as error:
            yield Finding(what, "wrong", str(error))


def _probe(what: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", ask())
    except _Wrong as error:
        return Finding(what, "wrong", str(error))


class _Wrong(Exception):
    """A failed check; the message is one sentence."""


def _flight(settings: Settings) -> str:
    try:
        return f"{settings.flight_url}, version {health(settings)['version']}"
    except FlightProblem as error:
        raise _Wrong(str(error)) from error


def _bridge(settings: Settings) -> Iterator[Finding]:
    lag, problem = bridge_lag(settings)
    if problem:
        yield Finding("bridge", "wrong", problem)
    elif lag and lag.rows and lag.seconds > BRIDGE_SECONDS:
        yield Finding("bridge", "warning", f"{lag}. Check that `fraiseql-assets bridge` runs.")
    elif lag:
        yield Finding("bridge", "ok", str(lag))


def _dagster(settings: Settings) -> str:
    where = without_credentials(settings.dagster_url)
    try:
        answer = requests.get(
            f"{settings.dagster_url}/server_info",
            timeout=settings.probe_timeout_seconds,
            auth=settings.dagster_login,
        )
        if answer.status_code == 401:
            raise _Wrong(f"Dagster at {where} asks for a password: set FRAISEQL_DAGSTER_PASSWORD.")
        answer.raise_for_status()
        version = answer.json()["dagster_version"]
    except (requests.RequestException, KeyError, ValueError) as error:
        raise _Wrong(
            f"Dagster at {where} does not answer ({type(error).__name__}). "
            "Check that its web server runs and that FRAISEQL_DAGSTER_URL names it."
        ) from error
    return f"{where}, version {version}"


def _postgres(settings: Settings) -> str:
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    url = settings.database_url.get_secret_value()
    where = without_credentials(url)
    try:
        with dbapi.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version')")
            row = cursor.fetchone()
    except Error as error:
        raise _Wrong(
            f"PostgreSQL at {where} does not answer: {one_line(error)}. "
            "Check FRAISEQL_DATABASE_URL."
        ) from error
    return f"{where}, version {row[0] if row else 'unknown'}"
