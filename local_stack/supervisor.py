"""Keeps programs running: starts them in parallel, restarts them, and stops them in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_stack.guardian import collect_orphans
from local_stack.programs import Program, StackError, describe_error, start

POLL_SECONDS = 0.05
WATCH_SECONDS = 0.2
EXAMINE_SECONDS = 5.0
END_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A program that ran for so long before it ended has no earlier failures counted."""


class StartFailed(StackError):
    """A program could not be started. The message says which and why."""


@dataclass(slots=True)
class _Child:
    """A program and the process that runs it."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ready: bool = False
    failures: int = 0
    """How often it has ended in a row."""
    retry_at: float = 0.0


class Supervisor:
    """Runs programs in layers. Each starts as soon as the programs that it needs answer. The last
    layer is stopped first.

    Use it from the main thread, as a context manager that stops everything.
    """

    def __init__(
        self, layers: Sequence[Sequence[Program]], logs: Path, report: Callable[[str], None]
    ) -> None:
        """Writes logs to `<logs>/<name>.log`. `report` gets a line whenever a program ends."""
        self._layers = [[_Child(program) for program in layer] for layer in layers]
        self._children = {child.program.name: child for layer in self._layers for child in layer}
        self._logs, self._report = logs, report
        self._stopping = False

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def stop(self, *_: object) -> None:
        """Makes `bring_up` and `watch` return soon. Safe to call in a signal handler."""
        self._stopping = True

    @property
    def waiting_for(self) -> list[Program]:
        """The programs that do not answer yet."""
        return [child.program for child in self._children.values() if not child.ready]

    @property
    def is_up(self) -> bool:
        """Whether every program has answered and `stop` was not called."""
        return not self.waiting_for and not self._stopping

    def bring_up(self, on_ready: Callable[[Program, float], None]) -> Iterator[None]:
        """Starts everything. Yields while it waits; ends when all answer or `stop` was called.

        `on_ready` gets each program as it answers, with the seconds since its start.

        Raises:
            StartFailed: a program cannot be started, ends, or does not answer in time.
        """
        while self.waiting_for and not self._stopping:
            for child in self._children.values():
                if child.process is None:
                    if all(self._children[name].ready for name in child.program.needs):
                        self._start(child)
                elif not child.ready and self._has_become_ready(child):
                    child.ready = True
                    on_ready(child.program, time.monotonic() - child.started)
            self._restart_dead()
            yield
            time.sleep(POLL_SECONDS)

    def watch(self) -> None:
        """Restarts programs that end, or that need a restart, until `stop` is called."""
        examined = time.monotonic()
        while not self._stopping:
            self._restart_dead()
            if time.monotonic() - examined >= EXAMINE_SECONDS:
                self._end_stuck()
                examined = time.monotonic()
            time.sleep(WATCH_SECONDS)

    def end(self) -> None:
        """Stops everything, the last layer first. Kills what does not stop in time."""
        for layer in reversed(self._layers):
            running = [child for child in layer if child.process and child.process.poll() is None]
            for child in running:
                assert child.process
                child.process.send_signal(child.program.ends_by)
            deadline = time.monotonic() + END_SECONDS
            for child in running:
                assert child.process
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
            for child in layer:
                self._sweep(child)

    def _start(self, child: _Child) -> None:
        log = self._log(child)
        if not child.failures and log.exists():
            log.replace(log.with_suffix(".previous.log"))
        try:
            child.process = start(child.program, log)
        except OSError as error:
            raise StartFailed(
                f"{child.program.title} cannot be started: {describe_error(error)}"
            ) from error
        child.started = time.monotonic()

    def _has_become_ready(self, child: _Child) -> bool:
        assert child.process
        program, code = child.program, child.process.poll()
        if code is not None:
            if program.once and code == 0:
                return True
            raise StartFailed(f"{program.title} {describe_exit(code)}{self._log_summary(child)}")
        if not program.once and program.is_ready():
            return True
        if time.monotonic() - child.started > program.start_seconds:
            silent = f"{program.title} does not answer after {program.start_seconds:.0f} s"
            raise StartFailed(f"{silent}{self._log_summary(child)}")
        return False

    def _restart_dead(self) -> None:
        own = [child.process.pid for child in self._children.values() if child.process]
        collect_orphans(own)
        now = time.monotonic()
        for child in self._children.values():
            if not child.ready or child.program.once:
                continue
            if child.process is None:
                if now >= child.retry_at:
                    self._retry(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            self._sweep(child)
            child.process = None
            self._count_failure(child, now)
            ended = f"{child.program.title} {describe_exit(code)}; it is started again"
            self._report(f"{ended}{self._log_summary(child)}")

    def _end_stuck(self) -> None:
        """Stops programs that need a restart. They are then started again like all that end."""
        for child in self._children.values():
            if child.ready and child.process and child.program.needs_restart():
                self._report(f"{child.program.title} can no longer write; it is restarted")
                child.process.send_signal(child.program.ends_by)

    def _count_failure(self, child: _Child, now: float) -> None:
        child.failures = child.failures + 1 if now - child.started < STEADY_SECONDS else 1
        pause = FIRST_PAUSE_SECONDS * 2 ** (child.failures - 1)
        child.retry_at = now + min(pause, LONGEST_PAUSE_SECONDS)

    def _retry(self, child: _Child) -> None:
        try:
            self._start(child)
        except StartFailed as error:
            child.started = time.monotonic()
            self._count_failure(child, child.started)
            self._report(str(error))

    def _sweep(self, child: _Child) -> None:
        """Kills the process and its process group, if they still run."""
        if child.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()

    def _log(self, child: _Child) -> Path:
        return self._logs / f"{child.program.name}.log"

    def _log_summary(self, child: _Child) -> str:
        """The path of the log, and its last line."""
        log = self._log(child)
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" (log: {log}{f', which ends: {last[:200]}' if last else ''})"


def describe_exit(code: int) -> str:
    """A sentence part that says how a process ended."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
