"""Adds a range of the log to a plane: begins it in the ledger, writes it and commits it."""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import reduce
from typing import Literal

from fraiseql_assets.pipeline.job import IngestError, Job, Report
from fraiseql_assets.pipeline.stages import read_parts, write_parts
from fraiseql_assets.planes import LedgerEntry, Plane, PlaneError, committed_ranges
from fraiseql_assets.ranges import SequenceRange, subtract
from fraiseql_assets.stream.log import Log


def ingest_range(plane: Plane, log: Log, sequences: SequenceRange, day: date, job: Job) -> Report:
    """Adds a range of the log to the plane, exactly once however often it is called.

    Parts that are already committed are not changed. A range that an earlier attempt began is
    written with the batching of that attempt, so that its blocks carry the same tokens.

    Raises:
        IngestError: an earlier attempt began an overlapping range with other bounds.
        PlaneError, LogError: the plane or the log failed; the call can be repeated.
    """
    started = time.monotonic()
    entries = plane.ledger(log.stream)
    left = subtract(sequences, committed_ranges(entries))
    reports = [
        _ingest_part(plane, log, part, day, _as_begun(job, _begun_over(entries, part)))
        for part in left
    ]
    total = Report(range=sequences, already_committed=not left)
    return replace(reduce(Report.plus, reports, total), seconds=time.monotonic() - started)


def _begun_over(entries: Iterable[LedgerEntry], part: SequenceRange) -> LedgerEntry | None:
    """The entry of an earlier attempt at a range. Other bounds would duplicate its rows."""
    for entry in entries:
        if entry.state == "begun" and entry.range.overlaps(part):
            if entry.range != part or entry.kind == "partition":
                raise IngestError(
                    f"range {part} overlaps {entry.range}, which run {entry.run_id} began and did "
                    "not commit. The sensor asks for that range first; ask for this one afterwards."
                )
            return entry
    return None


def _as_begun(job: Job, begun: LedgerEntry | None) -> Job:
    if begun is None:
        return job
    return replace(job, batching=begun.batching, attempt=max(job.attempt, begun.attempt + 1))


def _ingest_part(plane: Plane, log: Log, sequences: SequenceRange, day: date, job: Job) -> Report:
    """Ingests a range of which nothing is committed, from *begun* to *committed*."""
    entry = begun_entry(log.stream, sequences, day, job)
    plane.record(entry)
    parts = read_parts(log, plane.dataset, sequences, job)
    report = write_parts(parts, log, plane, plane, sequences, day, job)
    report = replace(report, missing=len(sequences) - report.messages)
    _require_own_claim(plane, entry)
    plane.record(committed_entry(entry, report))
    return report


def _require_own_claim(plane: Plane, entry: LedgerEntry) -> None:
    """Returns if this run may still commit the range.

    Raises:
        PlaneError: its day has been replaced, so that rows may have been lost with the old
            partition, or another run has begun the range.
    """
    entries = plane.ledger(entry.stream, entry.day)
    own = any(
        found.range == entry.range
        and found.state == "begun"
        and (found.run_id, found.attempt) == (entry.run_id, entry.attempt)
        for found in entries
    )
    replaced = any(
        found.kind == "partition" and found.state == "committed" and found.at >= entry.at
        for found in entries
    )
    if replaced or not own:
        raise PlaneError(
            f"{entry.range} of {entry.day} was replaced, lost, or taken by another run of the "
            f"{plane.name} plane while it was being written. Ask for the range again."
        )


def begun_entry(
    stream: str,
    sequences: SequenceRange,
    day: date,
    job: Job,
    kind: Literal["range", "partition"] = "range",
) -> LedgerEntry:
    """The ledger entry of a range or partition before any of its rows are visible."""
    return LedgerEntry(
        stream=stream,
        range=sequences,
        day=day,
        state="begun",
        kind=kind,
        batching=job.batching,
        attempt=job.attempt,
        run_id=job.run_id,
        at=datetime.now(UTC),
    )


def committed_entry(entry: LedgerEntry, report: Report) -> LedgerEntry:
    """The ledger entry after the whole range has been written."""
    return replace(
        entry,
        state="committed",
        at=datetime.now(UTC),
        messages=report.messages,
        rows=report.rows,
        duplicates=report.duplicates,
        dead_letters=report.dead_letters,
        source=report.source,
    )
