"""The oldest day with rows, on which Dagster's partitions begin."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import chain

from fraiseql_assets.datasets import DATASETS, Dataset
from fraiseql_assets.planes import PlaneError, PlaneNotSetUp
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.connection import LogError, StreamMissing
from fraiseql_assets.stream.log import Log


def find_first_day(settings: Settings) -> date:
    """The oldest day that the log or a plane holds, or today if they hold nothing.

    A server that does not answer counts with the oldest day that it may still hold.
    """
    today = datetime.now(UTC).date()
    found = (_oldest_days(settings, dataset, today) for dataset in DATASETS.values())
    return min([today, *chain.from_iterable(found)])


def _oldest_days(settings: Settings, dataset: Dataset, today: date) -> Iterator[date]:
    try:
        with Log(settings, name="fraiseql-assets partitions", dataset=dataset) as log:
            oldest = log.position_from(1)
        if oldest:
            yield oldest.day
    except StreamMissing:
        pass
    except LogError:
        yield today - timedelta(days=settings.stream_max_age_days)
    probe = {"request_timeout_seconds": settings.probe_timeout_seconds}
    for plane in open_planes(settings.model_copy(update=probe), dataset):
        with closing(plane):
            try:
                yield from (entry.day for entry in plane.ledger(dataset.stream(settings)))
            except PlaneNotSetUp:
                continue
            except PlaneError:
                yield today - timedelta(days=dataset.retention_days(settings))
