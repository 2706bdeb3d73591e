"""The supervision of the embedded servers: restarts, ends, refusals. Without Dagster, for speed."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from adbc_driver_postgresql import dbapi
from server_access import READS, WRITES, accepts_writes
from stacks import (
    SECONDS,
    SERVERS_ONLY,
    WHOLE,
    Stack,
    own_folder,
    servers_only,
    survivors,
    wait_until,
)

from local_stack import servers
from local_stack.ports import distinct_free_ports
from local_stack.programs import start

pytestmark = pytest.mark.timeout(120)

PROCESSES = {
    "NATS": ("nats-server",),
    "ClickHouse": ("local_stack.clickhouse",),
    "Elasticsearch": ("local_stack.elasticsearch",),
    "PostgreSQL": ("bin/postgres", "-D"),
}
"""Words by which each server's process is known."""


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    with own_folder() as folder, servers_only(folder / "data") as stack:
        yield stack


@pytest.fixture
def folder() -> Iterator[Path]:
    with own_folder() as folder:
        yield folder / "data"


@pytest.mark.parametrize("title", PROCESSES)
def test_a_killed_server_is_restarted_and_reported(running: Stack, title: str) -> None:
    killed = running.process_of(*PROCESSES[title])
    killed.kill()

    def report() -> str:
        lines = running.printed.read_text().splitlines()
        return next(line for line in reversed(lines) if title in line)

    wait_until(lambda: f"{title} was ended by SIGKILL; it is started again" in report())
    wait_until(lambda: accepts_writes(running.settings, title), running.printed)
    assert running.process_of(*PROCESSES[title]) != killed


def test_a_second_start_on_the_same_folder_names_the_running_process(running: Stack) -> None:
    holder = running.process.children()[0].pid
    assert f"in use by process {holder}" in refused(SERVERS_ONLY, str(running.folder))


@dataclass(frozen=True)
class Restarted:
    """The module's stack, written to, ended by SIGTERM and started again on its folder."""

    exit_code: int
    left: list[psutil.Process]
    """The processes that had not ended with it."""
    rows: dict[str, int]
    """What each server held before."""
    stack: Stack


@pytest.fixture(scope="module")
def restarted(running: Stack) -> Iterator[Restarted]:
    rows = {}
    for title in PROCESSES:
        WRITES[title](running.settings)
        rows[title] = READS[title](running.settings)
    processes = running.descendants
    exit_code = running.end()
    left = survivors(processes)
    with servers_only(running.folder) as stack:
        yield Restarted(exit_code, left, rows, stack)


def test_data_survives_a_restart(restarted: Restarted) -> None:
    found = {title: read(restarted.stack.settings) for title, read in READS.items()}
    assert min(restarted.rows.values()) >= 1
    assert found == restarted.rows


def test_sigterm_ends_every_process(restarted: Restarted) -> None:
    assert (restarted.exit_code, restarted.left) == (0, [])


def test_sigkill_of_the_guardian_leaves_no_process(restarted: Restarted) -> None:
    """The last test with this stack."""
    leaves_no_process(restarted.stack, killed=0)


def test_sigkill_of_the_worker_leaves_no_process(folder: Path) -> None:
    with servers_only(folder) as stack:
        leaves_no_process(stack, killed=1)


def leaves_no_process(stack: Stack, killed: int) -> None:
    with (
        dbapi.connect(stack.settings.database_url.get_secret_value()) as connection,
        connection.cursor() as cursor,
    ):
        # A backend of PostgreSQL leaves its server's session and process group.
        cursor.execute("SELECT 1")
        processes = stack.descendants
        processes[killed].kill()
        stack.process.wait(SECONDS)
        wait_until(lambda: survivors(processes) == [])


def test_a_port_in_use_is_reported_before_anything_starts(folder: Path) -> None:
    with socket.socket() as holder:
        with suppress(OSError):
            # Taken by this test, or by whoever has it already.
            holder.bind(("127.0.0.1", 8080))
        sentence = refused(WHOLE, "dev", "--data-dir", str(folder))
    assert "8080 (Flight over HTTP)" in sentence
    assert "--ports auto" in sentence
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "logs"]


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = refused(SERVERS_ONLY, str(tmp_path / "file" / "data"))
    assert "The data folder cannot be used" in sentence
    assert "Choose a folder that can be written to" in sentence


def test_postgresql_waits_for_the_previous_process_to_end(folder: Path) -> None:
    first, second = (servers.postgresql(folder, port) for port in distinct_free_ports(2))
    log = folder.with_suffix(".log")
    before = start(first, log)
    after = None
    try:
        wait_until(first.is_ready, log)
        before.kill()
        # Not waited for, it is dead and still there.
        after = start(second, log)
        time.sleep(1)
        before.wait()
        wait_until(lambda: second.is_ready() or after.poll() is not None, log)
        assert second.is_ready(), log.read_text()
    finally:
        for process in filter(None, (before, after)):
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)


def test_a_failed_start_shows_the_output_of_the_server(folder: Path) -> None:
    (folder / "postgresql" / "18").mkdir(parents=True)
    sentence = refused(SERVERS_ONLY, str(folder))
    assert "PostgreSQL ended with exit code" in sentence
    assert str(folder / "logs" / "postgresql.log") in sentence


def refused(script: str, *arguments: str) -> str:
    """Runs a command that must refuse to start. Returns its message."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 1, done.stdout
    [sentence] = done.stderr.splitlines()
    return sentence
