"""Erases events and requests: records the erasure first, then replaces each day that holds them."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pyarrow as pa

from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.erasures import Erasure, without_erased
from fraiseql_assets.pipeline.blocks import build_blocks
from fraiseql_assets.pipeline.ingest import begun_entry, committed_entry
from fraiseql_assets.pipeline.job import Job, Report, default_batching
from fraiseql_assets.pipeline.rebuild import LAST_SEQUENCE, within
from fraiseql_assets.planes import LedgerEntry, Plane, PlaneError
from fraiseql_assets.ranges import SequenceRange, merge
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.log import Log

TRIES = 20
WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Erased:
    """What was removed from one day of a plane."""

    plane: str
    day: date
    rows: int


def erase(
    settings: Settings, *, event_id: str = "", entity_type: str = "", entity_id: str = ""
) -> Iterator[Erased]:
    """Erases an event, or all events of an entity, from both planes; see `_erase`."""
    columns = {"event_id": event_id, "entity_type": entity_type, "entity_id": entity_id}
    return _erase(settings, EVENTS, columns)


def erase_requests(
    settings: Settings, *, request_id: str = "", user_id: str = ""
) -> Iterator[Erased]:
    """Erases a GraphQL request, or all requests of a user, from their plane; see `_erase`."""
    return _erase(settings, REQUESTS, {"request_id": request_id, "user_id": user_id})


def _erase(settings: Settings, dataset: Dataset, columns: dict[str, str]) -> Iterator[Erased]:
    """Erases the rows of a dataset that have some values in their columns.

    Every plane records the erasure before anything is removed, so that no run and no rebuild writes
    the rows again. Repeating the call is safe and completes an earlier one that failed.

    Raises:
        LogError, PlaneError: the log or a plane failed; repeat the call.
    """
    with Log(settings, name="fraiseql-assets erase", dataset=dataset) as log:
        upto = log.bounds().last
    erasure = Erasure(dataset.stream(settings), upto, datetime.now(UTC), **columns)
    for plane in open_planes(settings, dataset):
        with closing(plane):
            plane.record_erasure(erasure)
    for plane in open_planes(settings, dataset):
        with closing(plane):
            for day in plane.erased_days(erasure):
                yield Erased(plane.name, day, _erase_day(plane, settings, day))


def _erase_day(plane: Plane, settings: Settings, day: date) -> int:
    """Replaces a day with its rows that are not erased. Returns how many were removed."""
    for attempt in range(1, TRIES + 1):
        try:
            return _replace(plane, settings, day, attempt)
        except PlaneError:
            # A run that commits to the day in the meantime makes the replacement incomplete.
            if attempt == TRIES:
                raise
            time.sleep(WAIT_SECONDS)
    raise AssertionError


def _replace(plane: Plane, settings: Settings, day: date, attempt: int) -> int:
    stream, batching = plane.dataset.stream(settings), default_batching(settings)
    committed = [e for e in plane.ledger(stream, day) if e.state == "committed"]
    if not committed:
        return 0
    sequences = SequenceRange(committed[0].range.first, max(e.range.last for e in committed))
    before, kept = sum(e.rows for e in committed), 0
    replacement = plane.replace(day)
    try:
        rows = _kept_rows(plane, stream, day, committed)
        for block in build_blocks(rows, stream, sequences, day, batching):
            kept += replacement.write(block).rows
        job = Job("erase", attempt, batching, settings.queue_batches)
        begun = begun_entry(stream, sequences, day, job, "partition")
        report = Report(
            messages=sum(e.messages for e in committed),
            rows=kept,
            duplicates=sum(e.duplicates for e in committed),
            dead_letters=sum(e.dead_letters for e in committed),
            source=plane.name,
        )
        replacement.swap(replace(committed_entry(begun, report), kind="partition"))
    except BaseException:
        replacement.abandon()
        raise
    return before - kept


def _kept_rows(
    plane: Plane, stream: str, day: date, committed: list[LedgerEntry]
) -> Iterator[pa.RecordBatch]:
    """Yields the committed rows of a day that are not erased. A run that has only begun a range
    writes it again."""
    ranges, erasures = merge(e.range for e in committed), plane.erasures(stream)
    for batch in plane.events(day, LAST_SEQUENCE):
        found = without_erased(within(batch, ranges), erasures)
        if found.num_rows:
            yield found
