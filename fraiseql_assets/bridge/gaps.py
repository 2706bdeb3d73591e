"""Row numbers of the change log that have no visible row yet.

PostgreSQL assigns a row's number when the row is inserted, and shows the row when its transaction
commits. A number below a visible one has therefore been assigned, and its row may still be
committed at any time. Such a number stays in a gap until its row is read, or until its row can no
longer be committed:

* every transaction that had inserted into the table after the gap was found has ended, and
* every transaction that had a transaction id then has ended, and
* a statement that began after both has looked into the gap and has found no row.

A rolled-back insert leaves a number without a row. These rules distinguish it from a row that is
committed late.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

LARGEST = 2**63 - 1
"""The largest number of a row."""


@dataclass(frozen=True, slots=True)
class Activity:
    """The transactions that ran at one moment."""

    writers: frozenset[str]
    """The transactions that have inserted into the change log."""
    oldest: int
    """Every transaction id below it has ended."""
    next: int
    """No transaction id from here on has been assigned."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive numbers that were assigned and whose rows have not been read."""

    first: int
    last: int
    writers: frozenset[str] | None = None
    """The transactions that may still commit its rows; None before the first observation."""
    until: int = 0
    """The transaction id below which all must have ended."""

    def after(self, activity: Activity) -> "Gap":
        """The gap with the transactions that it waits for, from a first observation."""
        if self.writers is None:
            return replace(self, writers=activity.writers, until=activity.next)
        return replace(self, writers=self.writers & activity.writers)

    def is_over(self, activity: Activity) -> bool:
        """Whether every row of the gap is visible to a statement that begins now."""
        return self.writers == frozenset() and self.until <= activity.oldest


class GapTracker:
    """The gaps, and the largest number that has been read."""

    def __init__(self, head: int, gaps: Iterable[tuple[int, int]] = ()) -> None:
        self.head = head
        self._gaps = [Gap(first, last) for first, last in gaps]

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """The gaps below the largest number, ascending."""
        return tuple((gap.first, gap.last) for gap in self._gaps)

    @property
    def count(self) -> int:
        """How many gaps there are."""
        return len(self._gaps)

    def ranges(self, most_gaps: int) -> tuple[list[int], list[int]]:
        """The ranges of numbers to read. With more than `most_gaps` gaps, no numbers above the
        largest one are read, so that the number of gaps does not grow.
        """
        firsts, lasts = [gap.first for gap in self._gaps], [gap.last for gap in self._gaps]
        if self.count <= most_gaps:
            firsts.append(self.head + 1)
            lasts.append(LARGEST)
        return firsts, lasts

    def observe(self, activity: Activity) -> None:
        """Records the running transactions, before rows are read."""
        self._gaps = [gap.after(activity) for gap in self._gaps]

    def see(self, numbers: Sequence[int]) -> None:
        """Removes numbers whose rows were read; `numbers` are ascending."""
        inside = [number for number in numbers if number <= self.head]
        beyond = numbers[len(inside) :]
        self._gaps = list(_without(self._gaps, inside))
        for number in beyond:
            if number > self.head + 1:
                self._gaps.append(Gap(self.head + 1, number - 1))
            self.head = number

    def settle(self, activity: Activity, reach: int) -> int:
        """Drops gaps up to the number `reach` whose rows can no longer be committed. `activity` was
        recorded before rows up to `reach` were read. Returns how many numbers were dropped.
        """
        dropped, kept = 0, []
        for gap in self._gaps:
            if gap.last <= reach and gap.is_over(activity):
                dropped += gap.last - gap.first + 1
            else:
                kept.append(gap)
        self._gaps = kept
        return dropped


def _without(gaps: Iterable[Gap], numbers: Iterable[int]) -> Iterator[Gap]:
    """The gaps without the numbers, both ascending."""
    left = iter(numbers)
    number = next(left, None)
    for gap in gaps:
        first = gap.first
        while number is not None and number <= gap.last:
            if number >= first:
                if number > first:
                    yield replace(gap, first=first, last=number - 1)
                first = number + 1
            number = next(left, None)
        if first <= gap.last:
            yield replace(gap, first=first)
