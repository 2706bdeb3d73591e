"""Local stacks in separate processes, for tests that use or damage them."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from fraiseql_assets.endpoints import of_running_stack
from fraiseql_assets.settings import Settings
from local_stack.ports import distinct_free_ports
from local_stack.programs import Program, start

SECONDS = 150
"""Longer than any step takes, even on a busy machine."""
SECONDS_TO_END = 10
MEMORY = Path("/dev/shm")
ROOM_BYTES = 8 << 30
"""The data of all workers' servers take much less."""

WHOLE = "from fraiseql_assets.cli.main import app; app()"
SERVERS_ONLY = """\
from pathlib import Path
import typer
from fraiseql_assets.cli.commands.dev import Ports, run
from local_stack.stack import embedded_servers

def main(folder: Path) -> None:
    run(folder, Ports.auto, lambda folder, ports: [embedded_servers(folder, ports)])

typer.run(main)
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    settings: Settings
    """Settings with its addresses; the others have their defaults."""
    folder: Path
    process: psutil.Popen
    """The process that a user would start."""
    printed: Path
    """The file with its output, stdout and stderr."""

    @property
    def descendants(self) -> list[psutil.Process]:
        """All of its processes, including the one that was started."""
        started = psutil.Process(self.process.pid)
        return [started, *started.children(recursive=True)]

    def process_of(self, *words: str) -> psutil.Process:
        """The only process whose command line contains all of the words."""
        [found] = [
            process
            for process in survivors(self.descendants[1:])
            if all(word in " ".join(process.cmdline()) for word in words)
        ]
        return found

    def end(self) -> int:
        """Stops it with SIGTERM, as a service manager does. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """Kills all of its processes and waits until they are gone."""
        processes = self.descendants
        for process in processes:
            # A process may already have ended with another one.
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not survivors(processes))


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for servers, deleted after the block.

    It is not one of pytest's folders, which other users cannot read: when tests run as root,
    PostgreSQL runs as another user. It is in memory where there is room: servers and Dagster wait
    for a disk after every small write.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    place = MEMORY if has_room else None
    with tempfile.TemporaryDirectory(prefix="fraiseql-assets-", dir=place) as folder:
        yield Path(folder)


@contextmanager
def running(describe: Callable[[Path, int], Program]) -> Iterator[str]:
    """Starts an embedded server for the duration of the block. Yields its address."""
    with own_folder() as folder:
        [port] = distinct_free_ports(1)
        program = describe(folder / "data", port)
        log = folder / f"{program.name}.log"
        process = start(program, log)
        try:
            wait_until(lambda: program.is_ready() or process.poll() is not None, log)
            assert process.poll() is None, f"{program.title} ended:\n{log.read_text()}"
            [url] = program.addresses.values()
            yield url
        finally:
            process.send_signal(program.ends_by)
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def started(folder: Path, script: str, *arguments: str) -> Iterator[Stack]:
    """Starts a stack on the folder for the duration of the block, and stops it afterwards."""
    printed = folder.with_name(f"{folder.name}.printed")
    with printed.open("ab") as output:
        process = psutil.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=output,
            stderr=output,
            env={**os.environ, "COLUMNS": "200"},
        )
    try:
        wait_until(lambda: of_running_stack(folder) or process.poll() is not None, printed)
        path = of_running_stack(folder)
        assert path, f"It ended with {process.returncode}:\n{printed.read_text()}"
        settings = Settings(_env_file=path)  # pyright: ignore[reportCallIssue]
        yield Stack(settings, folder, process, printed)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(SECONDS)
            except psutil.TimeoutExpired:
                for left in (*psutil.Process(process.pid).children(recursive=True), process):
                    left.kill()
                raise


def whole(folder: Path) -> AbstractContextManager[Stack]:
    """Starts everything that `dev` starts."""
    return started(folder, WHOLE, "dev", "--data-dir", str(folder), "--ports", "auto")


def servers_only(folder: Path) -> AbstractContextManager[Stack]:
    """Starts only the embedded servers, with the same supervision."""
    return started(folder, SERVERS_ONLY, str(folder))


def wait_until(holds: Callable[[], object], printed: Path | None = None) -> None:
    """Waits until the condition holds.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + SECONDS
    while not holds():
        said = printed.read_text() if printed else ""
        assert time.monotonic() < deadline, f"the condition did not hold within {SECONDS} s\n{said}"
        time.sleep(0.05)


def wait_for_midnight(longest: timedelta) -> None:
    """Waits until work that takes so long fits into one UTC day.

    The same event on the next day is another event.
    """
    now = datetime.now(UTC)
    later = now + longest
    if later.date() > now.date():
        midnight = later.replace(hour=0, minute=0, second=0, microsecond=0)
        time.sleep((midnight - now).total_seconds())


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that still run, without zombies."""
    return [process for process in processes if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        # It ended between the two questions.
        return False
