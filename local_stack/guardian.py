"""Ensures that no process of the stack remains, however it ends.

The process that the user started becomes the guardian of a second process, the worker, which does
the work. When the worker has ended, the guardian kills all remaining descendants. When the guardian
is killed, the worker receives a signal and shuts down in order.
"""

import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NoReturn

import psutil

from local_stack.programs import prctl, tied_to_parent

PR_SET_CHILD_SUBREAPER = 36

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that end the stack."""


def guard() -> None:
    """Forks a child process and returns in it. The calling process becomes its guardian.

    The guardian waits for the child, forwards signals to it, kills all remaining descendants, and
    exits with the child's exit code. Call this before any thread is started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    watched = {*ENDING, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    adopt_orphans()
    tie = tied_to_parent(signal.SIGTERM)
    child = os.fork()
    if child == 0:
        tie()
        adopt_orphans()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        return
    _watch(child, watched)


def _watch(child: int, watched: set[signal.Signals]) -> NoReturn:
    code = None
    while code is None:
        if signal.sigwait(watched) != signal.SIGCHLD:
            # The child has received a Ctrl-C as well. A second request changes nothing.
            os.kill(child, signal.SIGTERM)
        for process, status in ended_children():
            if process == child:
                code = os.waitstatus_to_exitcode(status)
    kill_descendants()
    # Exit handlers that were registered before the fork belong to the child.
    os._exit(code if code >= 0 else 128 - code)


def adopt_orphans() -> None:
    """Makes orphaned descendants children of this process, so that it can find them."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_descendants() -> None:
    """Kills all descendants and waits until none is left."""
    while descendants := _living_descendants():
        for process in descendants:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(descendants, timeout=1)


def _living_descendants() -> list[psutil.Process]:
    for _ in ended_children():
        pass
    return psutil.Process().children(recursive=True)


def ended_children() -> Iterator[tuple[int, int]]:
    """Reaps children that have ended. Yields the process id and the status of each."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return
        yield process, status


def collect_orphans(own: Collection[int]) -> None:
    """Reaps adopted processes that have ended, so that no zombies remain.

    It leaves the processes in `own` to the code that started them.
    """
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)
