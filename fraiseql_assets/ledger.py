"""What both planes' ledgers share: an entry as a row, and what a replacement has to cover."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from fraiseql_assets.planes import Batching, LedgerEntry, PlaneError
from fraiseql_assets.ranges import SequenceRange


def row_of(entry: LedgerEntry) -> dict[str, Any]:
    """An entry's fields under the names that they have in both servers."""
    return {
        "stream": entry.stream,
        "first": entry.range.first,
        "last": entry.range.last,
        "day": entry.day,
        "kind": entry.kind,
        "state": entry.state,
        # The column's name since the first release; a schema only grows.
        "cut": str(entry.batching),
        "attempt": entry.attempt,
        "run_id": entry.run_id,
        "at": entry.at.astimezone(UTC),
        "messages": entry.messages,
        "rows": entry.rows,
        "duplicates": entry.duplicates,
        "dead_letters": entry.dead_letters,
        "source": entry.source,
    }


def entry_of(row: Mapping[str, Any], *, day: date, at: datetime) -> LedgerEntry:
    """The entry of a row; day and time come as each server's client returns them."""
    return LedgerEntry(
        stream=row["stream"],
        range=SequenceRange(row["first"], row["last"]),
        day=day,
        state=row["state"],
        batching=Batching.parse(row["cut"]),
        attempt=row["attempt"],
        run_id=row["run_id"],
        at=at,
        messages=row["messages"],
        rows=row["rows"],
        duplicates=row["duplicates"],
        dead_letters=row["dead_letters"],
        kind=row["kind"],
        source=row["source"],
    )


def require_ranges_covered(replacement: LedgerEntry, others: Iterable[LedgerEntry]) -> None:
    """Returns when a day's replacement covers every range that is committed of the day.

    Raises:
        PlaneError: it would lose ranges that were committed while it was built.
    """
    outside = [
        str(other.range)
        for other in others
        if other.state == "committed" and not replacement.range.covers(other.range)
    ]
    if outside:
        raise PlaneError(
            f"the day {replacement.day} holds ranges that its replacement {replacement.range} "
            f"lacks: {', '.join(outside)}. Materialise the partition again."
        )


def require_rows_held(replacement: LedgerEntry, held: int) -> None:
    """Returns when a day's replacement holds as many events as were written to it.

    Raises:
        PlaneError: another run uses the same staging area, or the server lost what it had
            acknowledged.
    """
    if held != replacement.rows:
        raise PlaneError(
            f"the new partition of {replacement.day} holds {held:,} events instead of "
            f"{replacement.rows:,}. Materialise the partition again."
        )
