"""A run among Dagster's runs: whether it may go on, and whether another one waits for it."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fraiseql_assets.runs import WORKER_TAG, waiting_run

LOOK_SECONDS = 2.0
"""How often Dagster is asked: a query of its store each time."""
TRIES = 3
RETRY_SECONDS = 2.0


TERMINATED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


class RunEnded(Exception):
    """Dagster has the run as failed: another one does its work."""


class RunControl:
    """What a run asks Dagster about itself while it works."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, pool: str) -> None:
        self._instance, self._run_id, self._pool = instance, run_id, pool
        self._checked = self._looked = 0.0
        self._waiting: str | None = None

    def checkpoint(self) -> None:
        """Returns while the run is under way.

        Raises:
            dagster.DagsterExecutionInterruptedError: it was terminated.
            RunEnded: Dagster has it as failed.
        """
        if time.monotonic() - self._checked < LOOK_SECONDS:
            return
        self._checked = time.monotonic()
        run = self._instance.get_run_by_id(self._run_id)
        if run and run.status in TERMINATED:
            raise dg.DagsterExecutionInterruptedError
        if run is None or run.is_finished:
            status = run.status.value.lower() if run else "deleted"
            raise RunEnded(f"Dagster has the run as {status}; it stops. What it committed stays.")

    def reason_to_end(self) -> str | None:
        """Why the run should make room, None while nobody waits."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self._waiting = waiting_run(self._instance, self._pool, but=self._run_id)
        return self._waiting and f"run {self._waiting[:8]} waits for the pool {self._pool}"


def tag_worker(context: dg.AssetExecutionContext) -> None:
    """Names the process that works on the run, so that a run whose process died can be found."""
    context.instance.add_run_tags(context.run_id, {WORKER_TAG: worker_of(context.run_id)})


def worker_of(run_id: str) -> str:
    """This process, and for which run: a retry inherits the tags of the run before it."""
    return f"{run_id}@{socket.gethostname()}:{os.getpid()}"


@contextmanager
def retried(
    transient: tuple[type[Exception], ...], final: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Has transient errors retried and final ones not.

    Not by a retry policy: Dagster would apply it to an interrupt too, and a terminated run would
    begin anew.
    """
    try:
        yield
    except (*final, RunEnded) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except transient as error:
        raise dg.RetryRequested(max_retries=TRIES, seconds_to_wait=RETRY_SECONDS) from error
