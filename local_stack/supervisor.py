"""Keeping programs running: started side by side, restarted when they die, ended in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_stack.guardian import collect_orphans
from local_stack.programs import Program, StackError, said, start

POLL_SECONDS = 0.05
WATCH_SECONDS = 0.2
EXAMINE_SECONDS = 5.0
END_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A program that has lived so long is no longer said to fail in a row."""


class StartFailed(StackError):
    """A program of the stack could not be started; the message says which and why."""


@dataclass(slots=True)
class _Child:
    """A program and the process that runs it."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ready: bool = False
    failures: int = 0
    """How often in a row it has died."""
    again_at: float = 0.0


class Supervisor:
    """Runs programs in layers: all start as soon as what they need answers; the last layer ends
    first. To be used from the main thread, as a context manager that ends everything.
    """

    def __init__(
        self, layers: Sequence[Sequence[Program]], logs: Path, report: Callable[[str], None]
    ) -> None:
        """Logs go to `logs` as `<name>.log`; `report` gets a line for each death."""
        self._layers = [[_Child(program) for program in layer] for layer in layers]
        self._children = {child.program.name: child for layer in self._layers for child in layer}
        self._logs, self._report = logs, report
        self._stopping = False

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def stop(self, *_: object) -> None:
        """Makes `bring_up` and `watch` return soon. Fit for a signal handler."""
        self._stopping = True

    @property
    def waiting_for(self) -> list[Program]:
        """The programs that do not answer yet."""
        return [child.program for child in self._children.values() if not child.ready]

    @property
    def is_up(self) -> bool:
        """Whether everything has answered, and the end is not asked for."""
        return not self.waiting_for and not self._stopping

    def bring_up(self, on_ready: Callable[[Program, float], None]) -> Iterator[None]:
        """Starts everything; yields while waiting, and ends when all answer or `stop` was called.

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
        """Restarts what dies or says that it needs a restart, until `stop` is called."""
        examined = time.monotonic()
        while not self._stopping:
            self._restart_dead()
            if time.monotonic() - examined >= EXAMINE_SECONDS:
                self._end_stuck()
                examined = time.monotonic()
            time.sleep(WATCH_SECONDS)

    def end(self) -> None:
        """Ends everything, the last layer first; what does not end in time is killed."""
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
            raise StartFailed(f"{child.program.title} cannot be started: {said(error)}") from error
        child.started = time.monotonic()

    def _has_become_ready(self, child: _Child) -> bool:
        assert child.process
        program, code = child.program, child.process.poll()
        if code is not None:
            if program.once and code == 0:
                return True
            raise StartFailed(f"{program.title} {how(code)}{self._last_words(child)}")
        if not program.once and program.is_ready():
            return True
        if time.monotonic() - child.started > program.start_seconds:
            silent = f"{program.title} does not answer after {program.start_seconds:.0f} s"
            raise StartFailed(f"{silent}{self._last_words(child)}")
        return False

    def _restart_dead(self) -> None:
        own = [child.process.pid for child in self._children.values() if child.process]
        collect_orphans(own)
        now = time.monotonic()
        for child in self._children.values():
            if not child.ready or child.program.once:
                continue
            if child.process is None:
                if now >= child.again_at:
                    self._try_again(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            self._sweep(child)
            child.process = None
            self._count_failure(child, now)
            self._report(
                f"{child.program.title} {how(code)}; it is started again{self._last_words(child)}"
            )

    def _end_stuck(self) -> None:
        """Ends programs that need a restart; they are then started again like any that died."""
        for child in self._children.values():
            if child.ready and child.process and child.program.needs_restart():
                self._report(f"{child.program.title} can no longer write; it is restarted")
                child.process.send_signal(child.program.ends_by)

    def _count_failure(self, child: _Child, now: float) -> None:
        child.failures = child.failures + 1 if now - child.started < STEADY_SECONDS else 1
        pause = FIRST_PAUSE_SECONDS * 2 ** (child.failures - 1)
        child.again_at = now + min(pause, LONGEST_PAUSE_SECONDS)

    def _try_again(self, child: _Child) -> None:
        try:
            self._start(child)
        except StartFailed as error:
            child.started = time.monotonic()
            self._count_failure(child, child.started)
            self._report(str(error))

    def _sweep(self, child: _Child) -> None:
        """Kills what is left of the process and of those it has started."""
        if child.process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()

    def _log(self, child: _Child) -> Path:
        return self._logs / f"{child.program.name}.log"

    def _last_words(self, child: _Child) -> str:
        """Where to read on, and the last line that is there."""
        log = self._log(child)
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" (log: {log}{f', which ends: {words[:200]}' if words else ''})"


def how(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
