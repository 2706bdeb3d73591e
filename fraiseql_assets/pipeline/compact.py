"""Keeping a ledger short: entries that follow each other become one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from fraiseql_assets.planes import LedgerEntry, Plane
from fraiseql_assets.ranges import SequenceRange


def compact_day(plane: Plane, stream: str, day: date, run_id: str) -> int:
    """Replaces a day's committed entries by one with their sums.

    Only for a day that was verified as complete: its ranges then follow each other without a gap. A
    day of which a range is still begun is left as it is.

    Returns how many entries were put together; 0 when there was nothing to do.
    """
    entries = plane.ledger(stream, day)
    if len(entries) < 2 or any(entry.state != "committed" for entry in entries):
        return 0
    plane.compact(replace(_sum_of(entries, run_id), kind="partition"))
    return len(entries)


def compact_ranges(plane: Plane, stream: str, day: date, run_id: str) -> int:
    """Puts a day's committed ranges together where one follows the other.

    A day of which a range is still begun is left as it is. Returns how many entries became fewer.
    """
    entries = plane.ledger(stream, day)
    if any(entry.state != "committed" for entry in entries):
        return 0
    groups = _adjacent(entry for entry in entries if entry.kind == "range")
    for group in groups:
        if len(group) > 1:
            plane.compact(_sum_of(group, run_id))
    return sum(len(group) - 1 for group in groups)


def _adjacent(entries: Iterable[LedgerEntry]) -> list[list[LedgerEntry]]:
    groups: list[list[LedgerEntry]] = []
    for entry in entries:
        if groups and groups[-1][-1].range.last + 1 == entry.range.first:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def _sum_of(entries: Sequence[LedgerEntry], run_id: str) -> LedgerEntry:
    """One committed entry instead of several, with their sums."""
    sources = "+".join(entry.source for entry in entries).split("+")
    return replace(
        entries[0],
        range=SequenceRange(entries[0].range.first, max(e.range.last for e in entries)),
        run_id=run_id,
        at=datetime.now(UTC),
        messages=sum(entry.messages for entry in entries),
        rows=sum(entry.rows for entry in entries),
        duplicates=sum(entry.duplicates for entry in entries),
        dead_letters=sum(entry.dead_letters for entry in entries),
        source="+".join(dict.fromkeys(sources)),
    )
