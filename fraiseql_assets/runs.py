"""What a sensor and the run that it requests agree on: the run's configuration and its tags."""

import dagster as dg
from pydantic import Field

PLANE_TAG = "fraiseql/plane"
STREAM_TAG = "fraiseql/stream"
RANGE_TAG = "fraiseql/range"
WORKER_TAG = ".fraiseql/worker"
"""The process that works on the run. Dagster's UI hides tags that begin with a dot."""
PRIORITY_TAG = "dagster/priority"
SENSOR_PRIORITY = -1
"""Runs that a person asks for come first."""

LIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class EventsConfig(dg.Config):
    """Which part of the log a run takes. As it is, a run rebuilds its partition."""

    range: str = Field(
        default="",
        description="Add these sequences of the log, written `first-last`, such as 1-500. They "
        "must lie in the log and in the day of the partition. Empty: rebuild the whole partition "
        "from the log, and from the other plane where the log has lost messages.",
    )
    keep_going: bool = Field(
        default=False,
        description="With a range: go on with what follows it in the partition's day, while "
        "messages keep coming. The sensors ask for this.",
    )
    attempt: int = Field(
        default=1, description="How often this range has been asked for. The sensors count it."
    )
    only_if_broken: bool = Field(
        default=False,
        description="Verify the partition against the log first, and rebuild it only when it is "
        "not complete. The nightly schedules ask for this.",
    )
