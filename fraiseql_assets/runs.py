"""What a sensor and the run that it requests agree on: the run's configuration and its tags."""

import dagster as dg

PLANE_TAG = "fraiseql/plane"
STREAM_TAG = "fraiseql/stream"
RANGE_TAG = "fraiseql/range"
WORKER_TAG = "fraiseql/worker"
"""The process that works on the run."""


class EventsConfig(dg.Config):
    """Which part of the log a run takes. As it is, a run rebuilds its partition."""

    range: str = ""
    """`first-last`: add these sequences of the log. Empty: rebuild the whole partition."""
    attempt: int = 1
    """How often this range has been asked for."""
    only_if_broken: bool = False
    """Verify the partition first, and rebuild it only when it is not whole."""
