"""The image and docker-compose.yml, on an engine: NATS with the production configuration, and
stand-ins of the other servers. The tests share one stack and run in their order."""

import re
from concurrent.futures import ThreadPoolExecutor
from operator import gt
from pathlib import Path
from typing import Any

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.images.composition import (
    IMAGE,
    ROOT,
    Composition,
    docker,
    eventually,
    inspect,
)
from tests.stack_runs import ENDED, LAUNCH, STATUS, today

OURS = ("setup", "code", "web", "daemon", "flight")
UNPRIVILEGED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")
JOBS = ("materialise_analytics_events", "materialise_operational_events")
RUNS = """
query { runsOrError { ... on Runs { results { runId status tags { key value } } } } }
"""
EVENTS = 1_000
MORE = 60_000
RATE = 1_000


def in_image(*command: str) -> str:
    """What a command prints in a container that is as closed as those of the compose file."""
    return docker("run", "--rm", *UNPRIVILEGED, "--tmpfs", "/tmp", IMAGE, *command)


def publish(composition: Composition, count: int) -> None:
    composition.operate("publish", "--events", f"{count}")


def counted(composition: Composition) -> bool:
    """Whether both planes hold each event of the log once. They never hold one twice."""
    logged, *rows = composition.counts()
    assert max(rows) <= logged
    return rows == [logged] * 2


def containers_of_runs(composition: Composition) -> set[str]:
    """The containers that runs were launched in, by id."""
    runs = composition.dagster(RUNS)["runsOrError"]["results"]
    tags = [tag for run in runs for tag in run["tags"]]
    return {tag["value"] for tag in tags if tag["key"] == "docker/container_id"}


def is_closed(host: dict[str, Any]) -> bool:
    return (
        host["ReadonlyRootfs"]
        and host["CapDrop"] == ["ALL"]
        and host["SecurityOpt"] == ["no-new-privileges:true"]
        and host["Init"]
        and host["PidsLimit"] > 0
    )


@pytest.mark.usefixtures("images")
def test_the_image_holds_the_packages_of_the_lock_and_no_others() -> None:
    installed = dict(line.split("==") for line in in_image("pip", "freeze").split() if "==" in line)
    locked = set()
    for line in Path(ROOT / "docker/requirements.lock").read_text().splitlines():
        if re.match(r"[a-z]", line):
            requirement = Requirement(line.removesuffix("\\").strip())
            name = canonicalize_name(requirement.name)
            locked.add((name, str(requirement.specifier).removeprefix("==")))
    found = {(canonicalize_name(name), version) for name, version in installed.items()}
    assert found
    assert found - locked == set()
    assert "No broken requirements" in in_image("pip", "check")


@pytest.mark.usefixtures("images")
def test_the_image_runs_unprivileged_on_a_read_only_file_system() -> None:
    assert in_image("id", "--user").strip() == "10001"
    tried = "touch /opt/dagster/x 2>/dev/null && echo root; touch /tmp/x && echo folder"
    assert in_image("sh", "-c", tried).split() == ["folder"]
    assert "Usage" in in_image("fraiseql-assets", "--help")


@pytest.mark.parametrize("service", OURS)
def test_every_service_runs_closed_and_is_healthy(composition: Composition, service: str) -> None:
    found = composition.inspect(service)
    assert is_closed(found["HostConfig"])
    assert found["Config"]["User"] == "10001"
    if service == "setup":
        assert found["State"]["ExitCode"] == 0
    else:
        assert found["State"]["Health"]["Status"] == "healthy"


def test_no_password_is_in_the_configuration_of_a_container(composition: Composition) -> None:
    passwords = [path.read_text() for path in (composition.folder / "secrets/passwords").iterdir()]
    for service in OURS:
        shown = str(composition.inspect(service))
        assert [word for word in passwords if word in shown] == []


def test_dagster_and_the_flight_service_ask_for_a_login(composition: Composition) -> None:
    web = f"http://{composition.address('web', 3000)}/server_info"
    assert requests.get(web, timeout=30).status_code == 401
    flight = f"http://{composition.address('flight', 8080)}"
    assert requests.get(f"{flight}/health", timeout=30).ok
    assert requests.get(f"{flight}/assets/analytics/events", timeout=30).status_code == 401


def test_events_reach_both_planes_once_in_the_code_server(composition: Composition) -> None:
    publish(composition, EVENTS)
    eventually(lambda: counted(composition))
    assert containers_of_runs(composition) == set()


def test_a_sensor_launches_runs_in_closed_containers_of_their_own(
    composition: Composition,
) -> None:
    composition.up("launcher.yaml")
    publish(composition, EVENTS)
    eventually(lambda: len(composition.launched()) >= 2)
    for container in composition.launched():
        found = inspect(container)
        assert is_closed(found["HostConfig"])
        assert found["Config"]["User"] == "10001"
        assert found["HostConfig"]["Memory"] == 2**30
    eventually(lambda: counted(composition))
    # Each ends by itself, and its container goes with it.
    eventually(lambda: composition.launched() == [])


def test_events_count_once_when_the_containers_of_runs_are_killed(
    composition: Composition,
) -> None:
    before = containers_of_runs(composition)
    # Runs go on while events come, so these are at work.
    with ThreadPoolExecutor() as beside:
        publishing = beside.submit(
            composition.operate, "publish", "--events", f"{MORE}", "--rate", f"{RATE}"
        )
        earlier = composition.counts()[1:]
        eventually(lambda: all(map(gt, composition.counts()[1:], earlier)))
        killed = composition.launched()
        assert len(killed) >= 2
        docker("kill", *killed)
        publishing.result()
    eventually(lambda: counted(composition), seconds=600)
    assert len(containers_of_runs(composition) - before) >= 4


@pytest.mark.parametrize("job", JOBS)
def test_a_container_materialises_a_day_exactly(composition: Composition, job: str) -> None:
    before = containers_of_runs(composition)
    tags = [{"key": "dagster/partition", "value": f"{today()}"}]
    launched = composition.dagster(LAUNCH, job=job, tags=tags, config={})["launchRun"]
    run = launched["run"]["runId"]

    def status() -> str:
        return composition.dagster(STATUS, id=run)["runOrError"]["status"]

    eventually(lambda: status() in ENDED)
    assert status() == "SUCCESS"
    assert len(containers_of_runs(composition) - before) == 1
    assert counted(composition)
