"""The services of docker-compose.yml in containers: its servers are stand-ins, the rest is as it is
there. Everything is in a copy of the project, and goes with it."""

import re
import secrets
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from local_stack.elasticsearch.engines import ELASTICSEARCH
from local_stack.elasticsearch.jars import ensure_home

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NAME = "fraiseql-images"
"""Of the project in Compose. One at a time: what a killed session left goes before the next."""
BASE = "fraiseql-assets-base:bookworm"
IMAGE = "fraiseql-assets:test"
SERVERS = "fraiseql-assets-servers:test"
SOCKET = Path("/var/run/docker.sock")
SECONDS = 300
SECONDS_TO_BUILD = 1200
COMPOSE = Path(sysconfig.get_path("scripts")) / "docker-compose"

COUNT = """
from datetime import UTC, datetime
from fraiseql_assets.settings import get_settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.log import Log

with Log(get_settings(), name="tests") as log:
    print(log.bounds().messages)
for plane in open_planes(get_settings()):
    print(plane.count(datetime.now(UTC).date()).rows)
"""
"""Prints how many messages the log holds, of one event each, and how many of today each plane."""


def run(*command: str | Path, seconds: float = SECONDS, **changes: Any) -> str:
    """What a command prints.

    Raises:
        AssertionError: it fails. The message has its output.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **changes)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def docker(*arguments: str | Path, **changes: Any) -> str:
    """What a command of Docker prints."""
    return run("docker", *arguments, **changes)


def build_images() -> None:
    """Builds the project's image as its Dockerfile says, on the base that this machine made, and
    the image of the stand-ins on it."""
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    ours, replaced = re.subn(r"^FROM python:\S+", f"FROM {BASE}", dockerfile, flags=re.MULTILINE)
    assert replaced == dockerfile.count("FROM python:") == 2
    # pip reaches its registry as this machine does.
    build = ("build", "--quiet", "--network", "host", "--tag")
    docker(*build, IMAGE, "--file", "-", ROOT, input=ours, seconds=SECONDS_TO_BUILD)
    servers = HERE / "servers.Dockerfile"
    docker(*build, SERVERS, "--file", servers, HERE, seconds=SECONDS_TO_BUILD)


def prepare(folder: Path) -> None:
    """Writes the copy of the project that `Composition` starts."""
    # Debian's engine is older than this field, and Compose refuses it then.
    services = (ROOT / "docker-compose.yml").read_text()
    services, removed = re.subn(r"\n +start_interval: .*", "", services)
    assert removed == 2
    (folder / "docker-compose.yml").write_text(services)
    shutil.copytree(ROOT / "docker", folder / "docker")
    run(folder / "docker/make-secrets.sh")
    password = secrets.token_hex(16)
    stand_ins = folder / "stand-ins"
    stand_ins.mkdir()
    for server, path in (("clickhouse:8123", "/fraiseql"), ("elasticsearch:9200", "")):
        url = f"http://fraiseql:{password}@{server}{path}"
        (stand_ins / f"{server.split(':')[0]}_url").write_text(url)
    variables = {
        "FRAISEQL_SCHEMA": ROOT / "local_stack/demo/schema.compiled.json",
        "STAND_IN_PASSWORD": password,
        "STAND_IN_SECRETS": stand_ins,
        "STAND_IN_ENGINES": ensure_home(ELASTICSEARCH).parent,
        "DOCKER_GROUP": SOCKET.stat().st_gid,
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    write_launching(folder)


def write_launching(folder: Path) -> None:
    """Writes Dagster's configuration with the section for Docker, as its comment says to."""
    launcher = (ROOT / "docker/launchers/docker.yaml").read_text()
    for theirs, ours in (
        ("/srv/fraiseql/secrets/pipeline_clickhouse_url", f"{folder}/stand-ins/clickhouse_url"),
        (
            "/srv/fraiseql/secrets/pipeline_elasticsearch_url",
            f"{folder}/stand-ins/elasticsearch_url",
        ),
        ("/srv/fraiseql/", f"{folder}/"),
        ("fraiseql_", f"{NAME}_"),
    ):
        assert theirs in launcher
        launcher = launcher.replace(theirs, ours)
    launcher = re.sub(r"fraiseql-assets:\d\S+", IMAGE, launcher)
    whole = (ROOT / "docker/dagster.yaml").read_text() + "\n" + launcher
    (folder / "docker/dagster-launching.yaml").write_text(whole)


@dataclass(frozen=True, slots=True)
class Composition:
    """The project in a folder, and how it is asked."""

    folder: Path

    def compose(self, *arguments: str, over: str = "compose.yaml", **changes: Any) -> str:
        """What a command of Compose prints."""
        files = ["docker-compose.yml", HERE / "compose.yaml"]
        if over != "compose.yaml":
            files.append(HERE / over)
        named = [word for file in files for word in ("--file", file)]
        command = [COMPOSE, "--project-name", NAME, *named, *arguments]
        return run(*command, cwd=self.folder, **changes)

    def up(self, over: str = "compose.yaml") -> None:
        """Starts what does not run as it should, and waits until every service is healthy."""
        try:
            self.compose("up", "--detach", "--wait", "--quiet-pull", over=over)
        except AssertionError as error:
            said = self.compose("logs", "--no-color", "--tail", "40")
            raise AssertionError(f"{error}\n{said}") from error

    def down(self) -> None:
        """Ends and deletes everything, launched runs too."""
        for container in self.launched():
            docker("rm", "--force", container)
        self.compose("down", "--volumes", "--timeout", "20", "--remove-orphans")

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        [identity] = self.compose("ps", "--all", "--quiet", service).split()
        return inspect(identity)

    def execute(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.compose("exec", "-T", service, *command)

    def operate(self, *arguments: str) -> str:
        """What a command of an operator prints."""
        return self.compose("run", "--rm", "-T", "setup", "fraiseql-assets", *arguments)

    def counts(self) -> list[int]:
        """How many events the log holds, and how many of today each plane."""
        printed = self.execute("code", "with-secrets", "python", "-c", COUNT)
        return [int(line) for line in printed.split()]

    def address(self, service: str, port: int) -> str:
        """Where a port of a service is published."""
        return self.compose("port", service, f"{port}").strip()

    def dagster(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that Dagster answers to its user."""
        password = (self.folder / "secrets/passwords/dagster").read_text()
        answer = requests.post(
            f"http://{self.address('web', 3000)}/graphql",
            json={"query": query, "variables": variables},
            auth=("dagster", password),
            timeout=60,
        )
        answer.raise_for_status()
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def launched(self) -> list[str]:
        """The containers of runs, by id."""
        label = "label=dagster/run_id"
        network = f"network={NAME}_log"
        return docker("ps", "--quiet", "--filter", label, "--filter", network).split()


def inspect(container: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    [found] = yaml.safe_load(docker("inspect", container))
    return found


def eventually(holds: Callable[[], object], seconds: float = SECONDS) -> None:
    """Waits until it holds.

    Raises:
        AssertionError: it does not in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(1)
