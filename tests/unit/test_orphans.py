"""Which active runs no longer have a process."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest

from fraiseql_assets.defs.run_control import WORKER_TAG, worker_of
from sensors.orphans import CODE_SERVER_TAG, UNTAGGED_SECONDS, is_orphan

NOW = datetime.now(UTC).timestamp()
EARLIER, LATER = NOW - 20.0, NOW - 10.0
RUN, BEFORE_IT = str(uuid4()), str(uuid4())
BY_A_CODE_SERVER = {CODE_SERVER_TAG: "{}"}


def record(
    status: dg.DagsterRunStatus, tags: dict[str, str], *, last_update: float, started: float | None
) -> dg.RunRecord:
    moment = datetime.fromtimestamp(last_update, UTC).replace(tzinfo=None)
    return dg.RunRecord(
        storage_id=1,
        dagster_run=dg.DagsterRun("job", run_id=RUN, status=status, tags=tags),
        create_timestamp=moment,
        update_timestamp=moment,
        start_time=started,
    )


def starting(tags: dict[str, str], *, last_update: float) -> dg.RunRecord:
    return record(dg.DagsterRunStatus.STARTING, tags, last_update=last_update, started=None)


def started(tags: dict[str, str], *, at: float) -> dg.RunRecord:
    return record(dg.DagsterRunStatus.STARTED, tags, last_update=at, started=at)


def worker(process: int, *, run: str = RUN, host: str = "") -> dict[str, str]:
    return {WORKER_TAG: f"{run}@{host or socket.gethostname()}:{process}"}


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_records_its_process() -> None:
    run = started({WORKER_TAG: worker_of(RUN)}, at=NOW)
    assert run.dagster_run.tags == worker(os.getpid())


@pytest.mark.parametrize(
    "run",
    [starting(BY_A_CODE_SERVER, last_update=EARLIER), started(BY_A_CODE_SERVER, at=EARLIER)],
    ids=["starting", "started"],
)
def test_a_run_of_a_previous_code_server_is_an_orphan(run: dg.RunRecord) -> None:
    assert is_orphan(run, now=NOW, served_since=LATER)


@pytest.mark.parametrize(
    "run",
    [starting(BY_A_CODE_SERVER, last_update=LATER), started(BY_A_CODE_SERVER, at=LATER)],
    ids=["starting", "started"],
)
def test_a_run_of_this_code_server_is_not_an_orphan(run: dg.RunRecord) -> None:
    assert not is_orphan(run, now=NOW, served_since=EARLIER)


def test_a_run_of_another_launcher_is_not_an_orphan() -> None:
    assert not is_orphan(started({}, at=EARLIER), now=NOW, served_since=LATER)


def test_a_run_without_a_process_is_an_orphan_after_a_timeout() -> None:
    run = started({}, at=NOW - UNTAGGED_SECONDS - 1)
    assert is_orphan(run, now=NOW, served_since=0.0)


def test_a_run_with_a_live_process_is_not_an_orphan() -> None:
    run = started({**BY_A_CODE_SERVER, **worker(os.getppid())}, at=NOW)
    assert not is_orphan(run, now=NOW, served_since=NOW + 1)


def test_a_run_whose_process_has_ended_is_an_orphan() -> None:
    assert is_orphan(started(worker(ended_process()), at=NOW), now=NOW, served_since=EARLIER)


def test_a_retry_with_copied_tags_is_not_an_orphan() -> None:
    inherited = {**BY_A_CODE_SERVER, **worker(ended_process(), run=BEFORE_IT)}
    assert not is_orphan(starting(inherited, last_update=LATER), now=NOW, served_since=EARLIER)
    assert not is_orphan(started(inherited, at=LATER), now=NOW, served_since=EARLIER)


def test_a_run_whose_process_id_was_reused_is_an_orphan() -> None:
    run = started(worker(os.getppid()), at=EARLIER - 10**9)
    assert is_orphan(run, now=NOW, served_since=EARLIER)


def test_a_run_on_another_host_is_not_an_orphan() -> None:
    run = started(worker(1, host="elsewhere"), at=EARLIER)
    assert not is_orphan(run, now=NOW, served_since=LATER)
