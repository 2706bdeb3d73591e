"""A local stack in a process of its own, as a person starts it, for tests to use and to hurt."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from fraiseql_assets.endpoints import of_running_stack
from fraiseql_assets.settings import Settings

SECONDS = 150
"""Nothing takes this long, however busy the machine is."""

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
    """A stack that answers."""

    settings: Settings
    """With its addresses; the rest are the defaults."""
    folder: Path
    process: psutil.Popen
    """The process that a person would have started."""
    printed: Path
    """What it has printed, to both streams."""

    @property
    def descendants(self) -> list[psutil.Process]:
        """Every process of it, with the one that was started."""
        started = psutil.Process(self.process.pid)
        return [started, *started.children(recursive=True)]

    def process_of(self, *words: str) -> psutil.Process:
        """The one process in whose command line all of the words are."""
        [found] = [
            process
            for process in survivors(self.descendants[1:])
            if all(word in " ".join(process.cmdline()) for word in words)
        ]
        return found

    def end(self) -> int:
        """Ends it as a service manager does. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """Kills every process of it, and waits until there is none."""
        processes = self.descendants
        for process in processes:
            # One that dies with another may be gone before its turn.
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not survivors(processes))


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for servers, gone after the block.

    PostgreSQL, which as root runs as another user, must reach it, and every start of pytest closes
    pytest's own folders to other users.
    """
    with tempfile.TemporaryDirectory(prefix="fraiseql-assets-") as folder:
        yield Path(folder)


@contextmanager
def started(folder: Path, script: str, *arguments: str) -> Iterator[Stack]:
    """A stack on the folder for the length of the block; killed after it if it still runs."""
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
    """Everything that `dev` starts."""
    return started(folder, WHOLE, "dev", "--data-dir", str(folder), "--ports", "auto")


def servers_only(folder: Path) -> AbstractContextManager[Stack]:
    """The embedded servers, supervised in the same way."""
    return started(folder, SERVERS_ONLY, str(folder))


def wait_until(holds: Callable[[], object], printed: Path | None = None) -> None:
    """Waits until the condition holds.

    Raises:
        AssertionError: it does not come to hold in time.
    """
    deadline = time.monotonic() + SECONDS
    while not holds():
        said = printed.read_text() if printed else ""
        assert time.monotonic() < deadline, f"in vain after {SECONDS} s\n{said}"
        time.sleep(0.05)


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; what has ended and only waits to be collected does not."""
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
