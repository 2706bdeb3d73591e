"""Finding runs whose process is gone: a SIGKILLed code server cannot report its runs' end.

Such a run would hold its plane's pool for ever. It is marked as failed, and what it had not
committed is asked for again.
"""

import os
import socket
import time

import dagster as dg
import psutil

from fraiseql_assets.materialise import WORKER_TAG

TICK_SECONDS = 9
UNTAGGED_SECONDS = 60.0
"""How long a started run may take until it says which process works on it."""


@dg.sensor(
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose worker process is gone, so that their work is redone.",
)
def orphaned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Reports every started run whose process on this host is no more."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    gone = [
        record.dagster_run
        for record in context.instance.get_run_records(started)
        if is_orphan(record, now=time.time())
    ]
    for run in gone:
        worker = run.tags.get(WORKER_TAG, "none")
        context.instance.report_run_failed(
            run, f"The run's worker process ({worker}) is gone without a word."
        )
    if gone:
        return dg.SkipReason(f"Marked as failed: {', '.join(run.run_id[:8] for run in gone)}")
    return dg.SkipReason("Every started run has its process")


def is_orphan(record: dg.RunRecord, *, now: float) -> bool:
    """Whether a started run's process is known to be gone.

    Of a run on another host nothing is known; that host's sensors or Dagster's run monitoring see
    to it.
    """
    worker = record.dagster_run.tags.get(WORKER_TAG)
    started = record.start_time or now
    if worker is None:
        return now - started > UNTAGGED_SECONDS
    host, _, pid = worker.rpartition(":")
    return host == socket.gethostname() and not _works(int(pid), started)


def _works(pid: int, started: float) -> bool:
    """Whether the process lives and is old enough to be the run's own, not one with its number."""
    if pid == os.getpid():
        return True
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= started + 1
    except psutil.NoSuchProcess:
        return False
