"""A program that the local stack runs: what it is, and starting it so that it dies with us."""

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
    """The local stack cannot do what was asked; the message says what, why and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program, before it is started."""

    name: str
    """Short and lower case; its log is `<name>.log`."""
    title: str
    """As a person knows it."""
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    """Whether it answers; quick, and never raises."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where it is, by the names of the settings that say so."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Other settings that hold for everything where it runs, by their names."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside the environment of this process."""
    prepare: Callable[[], None] = lambda: None
    """Makes its folders and files; called before every start, idempotent."""
    needs_restart: Callable[[], bool] = lambda: False
    """Whether it runs and will not do its work until it is restarted; never raises."""
    user: int | None = None
    """The user that it runs as, where it may not be this process's own."""
    needs: tuple[str, ...] = ()
    """Names of programs that must answer before this one is started."""
    start_seconds: float = 120.0
    """How long it may take until it is ready."""
    once: bool = False
    """It does its work and ends; it is ready when it has ended well."""
    ends_by: signal.Signals = signal.SIGTERM
    dies_by: signal.Signals = signal.SIGKILL
    """The signal that the kernel sends it when this process is gone."""


def start(program: Program, log: Path) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, its output appended to `log`.

    When the thread that calls this ends, however it ends, the program gets its `dies_by`: call it
    from the main thread.

    Raises:
        OSError: its files cannot be made, or it cannot be executed.
    """
    program.prepare()
    with log.open("ab") as output:
        return subprocess.Popen(
            program.command,
            env={**os.environ, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=program.user,
            group=program.user,
            extra_groups=None if program.user is None else [],
            preexec_fn=tied_to_parent(program.dies_by),
        )


def tied_to_parent(number: signal.Signals) -> Callable[[], None]:
    """What a new process calls so that it gets the signal when its parent is gone.

    Only Linux has this; elsewhere the process outlives a parent that was killed.
    """
    parent = os.getpid()

    def tie() -> None:
        # After any change of user, which would undo it.
        prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return tie


def prctl(operation: int, value: int) -> None:
    """Linux's prctl(2); elsewhere nothing."""
    if _LIBC is not None:
        _LIBC.prctl(operation, value, 0, 0, 0)


def said(error: OSError) -> str:
    """What the system refused, in words, and what to do about it."""
    what = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "Make room, or choose a folder on another disk with --data-dir.",
        errno.EDQUOT: "Make room, or choose a folder on another disk with --data-dir.",
    }
    default = "Choose a folder that can be written to with --data-dir."
    return f"{what}{error.strerror or error}. {advice.get(error.errno or 0, default)}"
