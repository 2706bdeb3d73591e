"""Compacts a ledger: merges adjacent entries into one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from fraiseql_assets.planes import LedgerEntry, Plane
from fraiseql_assets.ranges import SequenceRange


def compact_day(plane: Plane, stream: str, day: date, run_id: str) -> int:
    """Replaces the committed entries of a day with one entry that holds their sums.

    Call it only for a day that was verified as complete, so that its ranges have no gaps. A day
    with a begun range is not changed.

    Returns how many entries were merged, 0 if there was nothing to do.
    """
    entries = plane.ledger(stream, day)
    if len(entries) < 2 or any(entry.state != "committed" for entry in entries):
        return 0
    plane.compact(replace(_sum_of(entries, run_id), kind="partition"))
    return len(entries)


def compact_ranges(plane: Plane, stream: str, day: date, run_id: str) -> int:
    """Merges adjacent committed ranges of a day.

    A day with a begun range is not changed. Returns by how many entries the ledger shrank.
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
    """One committed entry that replaces several and holds their sums."""
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
