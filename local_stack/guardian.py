"""Leaving no process behind, however this one ends.

The process that a person started becomes the guardian of a second one that does the work. Each
sees to the other's end: when the worker is gone, the guardian kills whatever the worker has left,
grandchildren too; when the guardian is killed, the worker is told to end and does so in order.
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
"""The signals by which a person or a system asks for the end."""


def guard() -> None:
    """Goes on in a child process, watched over; only there this function returns.

    The process that calls it waits for the child, passes signals on to it, and exits as it does,
    with no descendant left. Call it before there are threads.
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
            # A Ctrl-C has reached the child as well, which takes a second request for the first.
            os.kill(child, signal.SIGTERM)
        for process, status in ended_children():
            if process == child:
                code = os.waitstatus_to_exitcode(status)
    kill_descendants()
    # Nothing of what this process had set up before it became two is its own to end.
    os._exit(code if code >= 0 else 128 - code)


def adopt_orphans() -> None:
    """Makes orphaned descendants children of this process, so that it can find them."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_descendants() -> None:
    """Kills every descendant and waits until there is none."""
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
    """Children that have ended and not been waited for, each with its status, now waited for."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return
        yield process, status


def collect_orphans(own: Collection[int]) -> None:
    """Waits for adopted processes that have ended; not for `own`, which whoever started them does.

    Without it they would stay as zombies until this process ends.
    """
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)
