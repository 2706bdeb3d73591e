"""Runs as tasks of a Celery worker, as the example of `docker/launchers` and its command say.

Celery's broker and result backend are folders here, so that no other server is needed.
"""

import asyncio
import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from flights import environment, set_up
from stacks import wait_for_midnight

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated

EXAMPLE = Path(__file__).parents[2] / "docker" / "launchers" / "celery.yaml"
SCRIPTS = Path(sysconfig.get_path("scripts"))
SECONDS = 120


@pytest.fixture
def variables(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """The environment of Dagster's processes, with a home whose runs Celery launches."""
    for name in ("home", "messages", "results"):
        (tmp_path / name).mkdir()
    folders = dict.fromkeys(("data_folder_in", "data_folder_out"), f"{tmp_path / 'messages'}")
    # Every process would make its own where it is started.
    folders["control_folder"] = f"{tmp_path / 'control'}"
    example = yaml.safe_load(EXAMPLE.read_text())
    example["run_launcher"]["config"]["config_source"] = {"broker_transport_options": folders}
    # The other processes of Dagster are not needed: a run is launched as soon as it is asked for.
    example["run_coordinator"] = {
        "module": "dagster.core.run_coordinator",
        "class": "DefaultRunCoordinator",
    }
    (tmp_path / "home" / "dagster.yaml").write_text(yaml.safe_dump(example))
    # A worker reads the options of its broker from a module of this name.
    (tmp_path / "dagster_celery_config.py").write_text(f"broker_transport_options = {folders!r}\n")
    return {
        **environment(settings),
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{tmp_path}",
        "DAGSTER_HOME": f"{tmp_path / 'home'}",
        "DAGSTER_CELERY_BROKER_URL": "filesystem://",
        "DAGSTER_CELERY_BACKEND_URL": f"file://{tmp_path / 'results'}",
    }


def command_of_a_worker() -> str:
    """The command that the example's comment gives."""
    comment = [line[1:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#")]
    return "\n".join(comment[next(n for n, line in enumerate(comment) if " celery " in line) :])


@contextmanager
def worker(variables: dict[str, str], log: Path) -> Iterator[int]:
    """A Celery worker for the duration of the block. Yields its process id."""
    command = f"exec {command_of_a_worker()}"
    with log.open("w") as written:
        process = subprocess.Popen(
            command, shell=True, env=variables, cwd=log.parent, stdout=written, stderr=written
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(SECONDS)


def launch(variables: dict[str, str], job: str, day: str) -> None:
    subprocess.run(
        [
            *(SCRIPTS / "dagster", "job", "launch", "-m", "fraiseql_assets.defs.definitions"),
            *("--job", job, "--tags", json.dumps({"dagster/partition": day})),
        ],
        env=variables,
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )


def only_run(home: Path) -> dg.DagsterRun:
    """The run of an instance, when it has ended."""
    deadline = time.monotonic() + SECONDS
    with dg.DagsterInstance.from_config(f"{home}") as instance:
        while True:
            [run] = instance.get_runs()
            if run.is_finished or time.monotonic() > deadline:
                return run
            time.sleep(0.2)


def test_a_run_is_executed_by_a_celery_worker(
    settings: Settings, variables: dict[str, str], tmp_path: Path
) -> None:
    wait_for_midnight(timedelta(minutes=2))
    plane = AnalyticsPlane(settings)
    set_up(settings, plane)
    asyncio.run(publish_generated(settings, count=500, shape="observer", seed=1))
    day = datetime.now(UTC).date()
    log = tmp_path / "worker.log"
    with worker(variables, log):
        launch(variables, "materialise_analytics_events", f"{day}")
        run = only_run(tmp_path / "home")
    worked = log.read_text()
    assert run.status is dg.DagsterRunStatus.SUCCESS, worked
    # The processes that launch a run do not execute it: its events are in the worker's log.
    assert any(run.run_id in line and "RUN_SUCCESS" in line for line in worked.splitlines())
    assert plane.count(day).rows == 500
    plane.close()
