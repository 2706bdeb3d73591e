"""Shared by the ledgers of both planes: entries as rows, and which entries are valid."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from fraiseql_assets.planes import Batching, LedgerEntry, PlaneError
from fraiseql_assets.ranges import SequenceRange


def row_of(entry: LedgerEntry) -> dict[str, Any]:
    """The fields of an entry, with their column names in both servers."""
    return {
        "stream": entry.stream,
        "first": entry.range.first,
        "last": entry.range.last,
        "day": entry.day,
        "kind": entry.kind,
        "state": entry.state,
        # The column has had this name since the first release; columns are never renamed.
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
    """The entry in a row, with the day and time that the client of the server returned."""
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
    """Returns if the replacement of a day covers every committed range of the day.

    Raises:
        PlaneError: the replacement would lose ranges that were committed while it was built.
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
    """Returns if the replacement of a day holds as many events as were written to it.

    Raises:
        PlaneError: another run uses the same staging area, or the server lost acknowledged
            data.
    """
    if held != replacement.rows:
        raise PlaneError(
            f"the new partition of {replacement.day} holds {held:,} events instead of "
            f"{replacement.rows:,}. Materialise the partition again."
        )


def in_force(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """The entries of a ledger that are not superseded. Superseded are ranges that a later committed
    entry covers, and ranges that were begun before their day was replaced.

    The run that records the later entry deletes them. If it is killed before that, they remain.
    """
    found = list(entries)
    replaced_at: dict[tuple[str, date], datetime] = {}
    for entry in found:
        if entry.kind == "partition" and entry.state == "committed":
            key = (entry.stream, entry.day)
            replaced_at[key] = max(entry.at, replaced_at.get(key, entry.at))
    covered = _covered(found)
    return [
        entry
        for number, entry in enumerate(found)
        if number not in covered
        and not (
            entry.state == "begun"
            and entry.at
            <= replaced_at.get((entry.stream, entry.day), datetime.min.replace(tzinfo=UTC))
        )
    ]


def _covered(entries: list[LedgerEntry]) -> set[int]:
    """The indices of committed entries that a later committed entry covers."""
    covered: set[int] = set()
    widest: dict[tuple[str, date], LedgerEntry] = {}
    committed = [(n, entry) for n, entry in enumerate(entries) if entry.state == "committed"]
    for number, entry in sorted(committed, key=lambda e: (e[1].range.first, -e[1].range.last)):
        key = (entry.stream, entry.day)
        wide = widest.get(key)
        if wide and wide.range.covers(entry.range) and wide.at >= entry.at:
            covered.add(number)
        elif wide is None or entry.range.last >= wide.range.last:
            widest[key] = entry
    return covered
