"""Row numbers of the change log that have no visible row yet.

PostgreSQL assigns a row's number when the row is inserted, and shows the row when its transaction
commits. A number below one that is visible has therefore been assigned, and its row may still
come, however late. Such a number stays in a gap until its row is seen, or until its row cannot come
any more:

* every transaction that had inserted into the table after the gap was found has ended, and
* every transaction that had a transaction id then has ended, and
* a statement that began after both has looked into the gap and has found no row.

What was rolled back leaves a number without a row; this is how it is told from a row that is late.
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
    """Consecutive numbers that were assigned and have not been seen."""

    first: int
    last: int
    writers: frozenset[str] | None = None
    """The transactions that its rows may still come from; None before anybody has looked."""
    until: int = 0
    """The transaction id below which all must have ended."""

    def after(self, activity: Activity) -> "Gap":
        """The gap with the transactions that it waits for, as of this moment."""
        if self.writers is None:
            return replace(self, writers=activity.writers, until=activity.next)
        return replace(self, writers=self.writers & activity.writers)

    def is_over(self, activity: Activity) -> bool:
        """Whether every row of the gap is visible to a statement that begins now."""
        return self.writers == frozenset() and self.until <= activity.oldest


class GapTracker:
    """The gaps, and the largest number that has been seen."""

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
        """Where to look for rows, as first and last numbers.

        With more than `most_gaps` gaps, nothing beyond the largest number is looked at, so that
        what has to be remembered does not grow.
        """
        firsts, lasts = [gap.first for gap in self._gaps], [gap.last for gap in self._gaps]
        if self.count <= most_gaps:
            firsts.append(self.head + 1)
            lasts.append(LARGEST)
        return firsts, lasts

    def observe(self, activity: Activity) -> None:
        """Notes which transactions run, before rows are looked for."""
        self._gaps = [gap.after(activity) for gap in self._gaps]

    def see(self, numbers: Sequence[int]) -> None:
        """Takes off rows that were found; `numbers` ascend."""
        inside = [number for number in numbers if number <= self.head]
        beyond = numbers[len(inside) :]
        self._gaps = list(_without(self._gaps, inside))
        for number in beyond:
            if number > self.head + 1:
                self._gaps.append(Gap(self.head + 1, number - 1))
            self.head = number

    def settle(self, activity: Activity, reach: int) -> int:
        """Drops gaps up to the number `reach` whose rows cannot come any more.

        `activity` was noted before the rows were looked for, up to `reach`. Returns how many
        numbers were dropped.
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
