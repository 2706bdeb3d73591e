"""The status of a run in Dagster: whether it may continue, and whether another run waits."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fraiseql_assets.runs import WORKER_TAG, waiting_run

LOOK_SECONDS = 2.0
"""How often Dagster is queried; each query reads its storage."""
TRIES = 3
RETRY_SECONDS = 2.0


TERMINATED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


class RunEnded(Exception):
    """Dagster has marked the run as failed, and another run does its work."""


class RunControl:
    """Queries Dagster about a run while the run works."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, pool: str) -> None:
        self._instance, self._run_id, self._pool = instance, run_id, pool
        self._checked = self._looked = 0.0
        self._waiting: str | None = None

    def checkpoint(self) -> None:
        """Returns if the run is still active.

        Raises:
            dagster.DagsterExecutionInterruptedError: the run was terminated.
            RunEnded: Dagster has marked the run as failed.
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
        """Why the run should end for another one, or None if no run waits."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self._waiting = waiting_run(self._instance, self._pool, but=self._run_id)
        return self._waiting and f"run {self._waiting[:8]} waits for the pool {self._pool}"


def tag_worker(context: dg.AssetExecutionContext) -> None:
    """Tags the run with its process, so that a run whose process died can be found."""
    context.instance.add_run_tags(context.run_id, {WORKER_TAG: worker_of(context.run_id)})


def worker_of(run_id: str) -> str:
    """This process and the run id. The id is needed because a retry inherits the run's tags."""
    return f"{run_id}@{socket.gethostname()}:{os.getpid()}"


@contextmanager
def retried(
    transient: tuple[type[Exception], ...], final: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Requests a retry for transient errors and none for final ones.

    A retry policy is not used, because Dagster would apply it to interrupts too and restart a
    terminated run.
    """
    try:
        yield
    except (*final, RunEnded) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except transient as error:
        raise dg.RetryRequested(max_retries=TRIES, seconds_to_wait=RETRY_SECONDS) from error
