"""Keeping a ledger short: the many entries of a day that is over and whole become one."""

from dataclasses import replace
from datetime import UTC, date, datetime

from fraiseql_assets.planes import Plane
from fraiseql_assets.ranges import SequenceRange


def compact_day(plane: Plane, stream: str, day: date, run_id: str) -> int:
    """Puts one committed entry in the place of a day's committed ones, with their sums.

    Only for a day whose verdict is that it is whole: its ranges then follow each other without a
    gap. A day of which a range is still begun is left as it is.

    Returns how many entries were put together; 0 when there was nothing to do.
    """
    entries = plane.ledger(stream, day)
    if len(entries) < 2 or any(entry.state != "committed" for entry in entries):
        return 0
    sources = "+".join(entry.source for entry in entries).split("+")
    plane.compact(
        replace(
            entries[0],
            range=SequenceRange(entries[0].range.first, max(e.range.last for e in entries)),
            kind="partition",
            run_id=run_id,
            at=datetime.now(UTC),
            messages=sum(entry.messages for entry in entries),
            rows=sum(entry.rows for entry in entries),
            duplicates=sum(entry.duplicates for entry in entries),
            dead_letters=sum(entry.dead_letters for entry in entries),
            source="+".join(dict.fromkeys(sources)),
        )
    )
    return len(entries)
