"""Finds runs without a process: a SIGKILLed code server cannot report that its runs ended.

Such a run would hold its plane's pool forever. It is marked as failed, and its uncommitted ranges
are requested again.
"""

import os
import socket
import time
from datetime import UTC

import dagster as dg
import psutil

from fraiseql_assets.runs import WORKER_TAG

CODE_SERVER_TAG = ".dagster/grpc_info"
"""The tag that Dagster sets on a run that a code server executes in a separate process."""

TICK_SECONDS = 9
UNTAGGED_SECONDS = 60.0
"""How long a started run may take to set the tag with its process."""
UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def orphan_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that finds runs without a process."""
    return dg.SensorDefinition(
        name="orphaned_runs",
        evaluation_fn=mark_orphans,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Marks runs as failed whose worker process is gone, so that their work is "
        "done again.",
    )


def mark_orphans(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Fails every active run whose process on this host, or whose code server, no longer exists."""
    under_way = dg.RunsFilter(statuses=UNDER_WAY)
    served_since = psutil.Process().create_time()
    gone = [
        record.dagster_run
        for record in context.instance.get_run_records(under_way)
        if is_orphan(record, now=time.time(), served_since=served_since)
    ]
    for run in gone:
        worker = run.tags.get(WORKER_TAG, "none")
        context.instance.report_run_failed(
            run, f"The run's worker process ({worker}) is gone without a word."
        )
    if gone:
        return dg.SkipReason(f"Marked as failed: {', '.join(run.run_id[:8] for run in gone)}")
    return dg.SkipReason("Every started run has its process")


def is_orphan(record: dg.RunRecord, *, now: float, served_since: float) -> bool:
    """Whether the process of an active run is known to have ended.

    `served_since` is when the code server was started. The state of a run on another host is
    unknown; the sensors of that host or Dagster's run monitoring handle it.
    """
    tags = record.dagster_run.tags
    run_id, _, worker = tags.get(WORKER_TAG, "").partition("@")
    started = record.start_time or now
    if run_id != record.dagster_run.run_id:
        # Runs end with their code server: one without updates since this start had another server.
        last_update = record.update_timestamp.replace(tzinfo=UTC).timestamp()
        is_abandoned = CODE_SERVER_TAG in tags and last_update < served_since
        return is_abandoned or now - started > UNTAGGED_SECONDS
    host, _, pid = worker.rpartition(":")
    return host == socket.gethostname() and not _works(int(pid), started)


def _works(pid: int, started: float) -> bool:
    """Whether the process runs and is not newer than the run, because process ids are reused."""
    if pid == os.getpid():
        return True
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= started + 1
    except psutil.NoSuchProcess:
        return False
