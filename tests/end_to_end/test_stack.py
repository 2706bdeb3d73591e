"""The whole local stack, as `fraiseql-assets dev` starts it."""

import asyncio
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
from adbc_driver_postgresql import dbapi
from pyarrow import flight
from pydantic import SecretStr
from server_access import WRITES, accepts_writes, write_postgresql
from stack_runs import SENSORS, ask
from stacks import WHOLE, Stack, survivors, wait_until

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.endpoints import NAME
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

pytestmark = pytest.mark.timeout(180)


def test_the_log_accepts_messages_of_eight_mebibytes(stack: Stack) -> None:
    with Log(stack.settings, name="test") as log:
        assert log.bounds().first >= 0
        assert log.server().max_payload == 8 * 2**20


def test_postgresql_answers(stack: Stack) -> None:
    with (
        dbapi.connect(stack.settings.database_url.get_secret_value()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("postgres",)


def test_the_flight_service_answers_over_flight_and_http(stack: Stack) -> None:
    with flight.connect(stack.settings.flight_url) as client:
        [answer] = client.do_action("HealthCheck")
    assert b"healthy" in answer.body.to_pybytes()
    assert requests.get(f"{stack.settings.http_url}/health", timeout=10).ok


def test_dagster_has_the_definitions_and_healthy_daemons(stack: Stack) -> None:
    data = ask(
        stack.settings,
        """{
          repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } }
          instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
        }""",
    )
    locations = [node["location"]["name"] for node in data["repositoriesOrError"]["nodes"]]
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert locations == ["fraiseql_assets.defs.definitions"]
    assert [status for status in statuses if status["required"] and not status["healthy"]] == []


def test_the_sensors_are_running(stack: Stack) -> None:
    sensors = ask(stack.settings, SENSORS)["sensorsOrError"]["results"]
    status = {sensor["name"]: sensor["sensorState"]["status"] for sensor in sensors}
    assert status["analytics_events_from_the_log"] == "RUNNING"
    assert status["operational_events_from_the_log"] == "RUNNING"


def test_runs_of_a_plane_are_serial_and_killed_runs_are_retried(stack: Stack) -> None:
    instance = ask(
        stack.settings,
        """{ instance {
          runQueuingSupported info poolConfig { defaultPoolLimit poolGranularity }
        } }""",
    )["instance"]
    assert instance["runQueuingSupported"] is True
    assert instance["poolConfig"] == {"defaultPoolLimit": 1, "poolGranularity": "run"}
    assert re.search(r"run_retries:\n\s+enabled: true", instance["info"])


def test_the_table_and_the_file_have_the_same_addresses(stack: Stack) -> None:
    lines = (stack.folder / NAME).read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines)
    printed = stack.printed.read_text()
    assert told.keys() == {
        "FRAISEQL_NATS_URL",
        "FRAISEQL_CLICKHOUSE_URL",
        "FRAISEQL_ELASTICSEARCH_URL",
        "FRAISEQL_DATABASE_URL",
        "FRAISEQL_DAGSTER_URL",
        "FRAISEQL_FLIGHT_URL",
        "FRAISEQL_HTTP_URL",
    }
    addresses = [
        without_credentials(value) for name, value in told.items() if name.endswith("_URL")
    ]
    assert [address for address in addresses if f"│ {address} " not in printed] == []


def test_passwords_are_only_in_files_of_their_owner(stack: Stack) -> None:
    urls = [value for value in stack.settings.model_dump().values() if isinstance(value, SecretStr)]
    passwords = [
        password for url in urls if (password := urlsplit(url.get_secret_value()).password)
    ]
    assert len(set(passwords)) == 4
    shown = [stack.printed.read_text(), *(" ".join(one.cmdline()) for one in stack.descendants)]
    shown += [log.read_text(errors="replace") for log in (stack.folder / "logs").iterdir()]
    assert [word for word in passwords if any(word in text for text in shown)] == []
    for path in (stack.folder, stack.folder / NAME, *stack.folder.glob("*.password")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_every_server_refuses_requests_without_the_password(stack: Stack) -> None:
    def without_password(setting: str) -> SecretStr:
        url = getattr(stack.settings, setting).get_secret_value()
        return SecretStr(re.sub(r":[^:@]+@", ":guessed@", url))

    names = ["nats_url", "clickhouse_url", "elasticsearch_url", "database_url"]
    anybody = stack.settings.model_copy(update={name: without_password(name) for name in names})
    assert [title for title in WRITES if accepts_writes(anybody, title)] == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://attacker.example"}, {"Host": "attacker.example"}]
)
@pytest.mark.parametrize("setting", ["clickhouse_url", "elasticsearch_url"])
def test_every_server_refuses_web_pages(
    stack: Stack, setting: str, headers: dict[str, str]
) -> None:
    url = getattr(stack.settings, setting).get_secret_value().removesuffix("/default")
    assert requests.get(url, timeout=10).ok
    assert requests.get(url, headers=headers, timeout=10).status_code == 403


def test_modes_of_parent_folders_are_not_changed(stack: Stack) -> None:
    write_postgresql(stack.settings)
    # As `own_folder` created it.
    assert stack.folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("headers", [{"Origin": "http://attacker.example"}, {"Host": "attacker"}])
def test_dagster_refuses_requests_of_other_origins(stack: Stack, headers: dict[str, str]) -> None:
    url = f"{stack.settings.dagster_url}/graphql"
    assert requests.post(url, params={"query": "{version}"}, timeout=30).ok
    answer = requests.post(url, params={"query": "{version}"}, headers=headers, timeout=30)
    assert answer.status_code == 403


def test_dagster_refuses_a_mutation_by_get(stack: Stack) -> None:
    query = {"query": "mutation { setNuxSeen }"}
    answer = requests.get(f"{stack.settings.dagster_url}/graphql", params=query, timeout=30)
    assert answer.status_code == 405


def test_a_command_in_another_process_finds_the_stack(stack: Stack) -> None:
    # The data folder has another name than the default, so the working directory gets a link to it.
    beside = stack.folder.parent / "beside"
    beside.mkdir()
    (beside / ".fraiseql").symlink_to(stack.folder)
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, "doctor"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=beside,
    )
    assert done.returncode == 0, done.stdout
    assert stack.settings.dagster_url in done.stdout
    assert stack.settings.flight_url in done.stdout


def test_a_run_is_forked_from_a_warm_process(stack: Stack) -> None:
    server = stack.process_of("fraiseql_assets.defs.code_server")
    [fork_server] = [
        process for process in server.children() if "forkserver" in " ".join(process.cmdline())
    ]
    libraries = {mapped.path.rpartition("/")[2] for mapped in fork_server.memory_maps()}
    assert any(name.startswith("libarrow.so") for name in libraries)
    publish = publish_generated(
        stack.settings, count=1, shape="observer", rate=None, seed=None, on_progress=lambda _: None
    )
    asyncio.run(publish)
    # What the runs have used is counted for the process that they were children of.
    wait_until(lambda: fork_server.cpu_times().children_user > 0, stack.printed)


def test_sigterm_ends_every_process(stack: Stack) -> None:
    """The last test on the stack."""
    processes = stack.descendants
    assert (stack.end(), survivors(processes)) == (0, [])
