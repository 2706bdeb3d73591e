"""Finding runs whose process is gone: a SIGKILLed code server cannot report its runs' end.

Such a run would hold its plane's pool for ever. It is marked as failed, and what it had not
committed is asked for again.
"""

import os
import socket
import time
from datetime import UTC

import dagster as dg
import psutil

from fraiseql_assets.runs import WORKER_TAG

CODE_SERVER_TAG = ".dagster/grpc_info"
"""What Dagster says of a run that a code server executes in a process of its own."""

TICK_SECONDS = 9
UNTAGGED_SECONDS = 60.0
"""How long a started run may take until it says which process works on it."""
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
    """Fails every run under way whose process on this host, or whose code server, is gone."""
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
    """Whether the process of a run under way is known to be gone.

    `served_since` is when the code server was started. Of a run on another host nothing is known;
    that host's sensors or Dagster's run monitoring see to it.
    """
    tags = record.dagster_run.tags
    run_id, _, worker = tags.get(WORKER_TAG, "").partition("@")
    started = record.start_time or now
    if run_id != record.dagster_run.run_id:
        # A code server's runs go with it: one not heard of since this one started was another's.
        heard_of = record.update_timestamp.replace(tzinfo=UTC).timestamp()
        is_forsaken = CODE_SERVER_TAG in tags and heard_of < served_since
        return is_forsaken or now - started > UNTAGGED_SECONDS
    host, _, pid = worker.rpartition(":")
    return host == socket.gethostname() and not _works(int(pid), started)


def _works(pid: int, started: float) -> bool:
    """Whether the process runs and is as old as the run: process ids are used again."""
    if pid == os.getpid():
        return True
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= started + 1
    except psutil.NoSuchProcess:
        return False
