"""A stack under test: `fraiseql-assets dev` with hooks in its processes, and proxies between its
runs and its servers. Finds each of its processes."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psutil

from fraiseql_assets.settings import Settings
from tests import stacks
from tests.chaos.disk import small_disk
from tests.chaos.plan import PROXIED
from tests.chaos.proxy import Proxy, proxies
from tests.chaos.steps import Traps

LOG_FOLDER = "nats"
HOOKS = Path(__file__).parent / "hooks"

SMALL = {
    # A few hundred events then make several ranges of several blocks.
    "FRAISEQL_BATCH_ROWS": "50",
    "FRAISEQL_BLOCK_ROWS": "100",
    "FRAISEQL_RANGE_MESSAGES": "1000",
    # A run then ends within a trial, and hands over to the next.
    "FRAISEQL_RUN_SECONDS": "5",
    "FRAISEQL_RUN_QUIET_SECONDS": "3",
    # Shorter than the longest freeze, so that servers execute requests that have timed out.
    "FRAISEQL_REQUEST_TIMEOUT_SECONDS": "6",
}

COMMANDS = {
    "nats": "nats-server",
    "clickhouse": "local_stack.clickhouse",
    "elasticsearch": "local_stack.elasticsearch",
    "postgresql": "bin/postgres -D",
    "daemon": "dagster-daemon",
    "code server": "fraiseql_assets.defs.code_server",
}
"""A part of each target's command line."""
FORK_SERVER = "multiprocessing.forkserver"


@dataclass(frozen=True, slots=True)
class Lab:
    """A running stack, its proxies and its traps."""

    stack: stacks.Stack
    proxies: dict[str, Proxy]
    traps: Traps
    has_small_disk: bool
    """Whether the log's files are on a disk of their own, which can be filled."""

    @property
    def log_folder(self) -> Path:
        """The folder with NATS's files."""
        return self.stack.folder / LOG_FOLDER

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    def find(self, target: str, *, timeout: float) -> psutil.Process | None:
        """The process of a target. Waits while it is being started or requested."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = [p for p in self._processes() if self._is(target, p)]
            if found:
                return found[0]
            time.sleep(0.05)
        return None

    def _processes(self) -> list[psutil.Process]:
        return self.stack.descendants[1:]

    def _is(self, target: str, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            command = " ".join(process.cmdline())
            if target in COMMANDS:
                return COMMANDS[target] in command
            # A run is a fork of the fork server and has the same command line.
            parent = process.parent()
            is_forked = parent is not None and FORK_SERVER in " ".join(parent.cmdline())
            return FORK_SERVER in command and is_forked == (target == "run")
        except psutil.NoSuchProcess:
            return False


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Starts a stack in the folder for the duration of the block."""
    chaos = folder / "chaos"
    traps = Traps(chaos)
    environment = {
        **SMALL,
        "CHAOS_FOLDER": str(chaos.absolute()),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")])),
    }
    with ExitStack() as held:
        proxied = held.enter_context(proxies(PROXIED, chaos))
        place = (folder / "stack").absolute()
        has_small_disk = held.enter_context(small_disk(place / LOG_FOLDER))
        with patch.dict(os.environ, environment):
            stack = held.enter_context(stacks.whole(place))
        yield Lab(stack, proxied, traps, has_small_disk)
