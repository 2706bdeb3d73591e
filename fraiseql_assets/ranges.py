"""Sequence ranges of the log, and arithmetic with them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class SequenceRange:
    """The JetStream sequences `first` to `last`, inclusive."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"not a sequence range: {self.first}-{self.last}")

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __len__(self) -> int:
        return self.last - self.first + 1

    @classmethod
    def parse(cls, text: str) -> "SequenceRange":
        """The range written as `first-last`.

        Raises:
            ValueError: the text is not a range.
        """
        first, dash, last = text.partition("-")
        if not (text.isascii() and dash and first.isdigit() and last.isdigit()):
            raise ValueError(f"not a sequence range: {text!r}; write first-last, such as 1-500")
        return cls(int(first), int(last))

    def overlaps(self, other: "SequenceRange") -> bool:
        return self.first <= other.last and other.first <= self.last

    def covers(self, other: "SequenceRange") -> bool:
        return self.first <= other.first and other.last <= self.last


def merge(ranges: Iterable[SequenceRange]) -> list[SequenceRange]:
    """The same sequences in as few ranges as possible, ascending."""
    merged: list[SequenceRange] = []
    for item in sorted(ranges):
        if merged and item.first <= merged[-1].last + 1:
            if item.last > merged[-1].last:
                merged[-1] = SequenceRange(merged[-1].first, item.last)
        else:
            merged.append(item)
    return merged


def subtract(whole: SequenceRange, taken: Iterable[SequenceRange]) -> list[SequenceRange]:
    """The parts of `whole` that are not in `taken`, ascending."""
    left: list[SequenceRange] = []
    first = whole.first
    for item in merge(taken):
        if item.last < first:
            continue
        if item.first > whole.last:
            break
        if item.first > first:
            left.append(SequenceRange(first, item.first - 1))
        first = item.last + 1
    if first <= whole.last:
        left.append(SequenceRange(first, whole.last))
    return left
