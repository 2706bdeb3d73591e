"""The steps of a run, by name: at each of them a run can be killed.

`hooks/sitecustomize.py` knows the same names and does the killing, inside the run.
"""

from dataclasses import dataclass
from pathlib import Path

PLANES = ("analytics", "operational")

RANGE_STEPS = {
    "asked": "launched, nothing read",
    "begun": "the range recorded as begun",
    "read": "the first batch read",
    "decoded": "the first batch decoded",
    "block-written": "the first block written, the second not",
    "all-written": "all blocks written, the range not committed",
    "committed": "the range committed, the run not reported",
    "waiting": "the range committed, the run waiting for the next",
    "next-begun": "the run's second range begun",
    "compacting": "the run's ranges recorded as one, the old entries not deleted",
}
REBUILD_STEPS = {
    "staging-filled": "the new partition filled, nothing of it to be seen",
    "swapping": "the swap begun (analytics: one table of four swapped; operational: none)",
    "swapped": "swapped, the ledger not written",
    "recorded": "the ledger written, what it replaces not removed",
}


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A step of one plane's runs."""

    plane: str
    name: str

    @property
    def rebuilds(self) -> bool:
        """Whether only a run that rebuilds a day comes to it."""
        return self.name in REBUILD_STEPS

    def __str__(self) -> str:
        return f"{self.plane} at {self.name}"


STEPS = tuple(Step(plane, name) for name in (*RANGE_STEPS, *REBUILD_STEPS) for plane in PLANES)


class Traps:
    """Traps for runs, as files that the hooks in every run look for.

    A trap kills the first run that comes to its step, and is gone with it.
    """

    def __init__(self, folder: Path) -> None:
        self._armed, self._sprung = folder / "armed", folder / "sprung"
        for path in (self._armed, self._sprung):
            path.mkdir(parents=True, exist_ok=True)

    def set(self, step: Step) -> None:
        """Sets a trap; one that has sprung before may spring again."""
        name = f"{step.plane}.{step.name}"
        (self._sprung / name).unlink(missing_ok=True)
        (self._armed / name).touch()

    def has_sprung(self, step: Step) -> bool:
        """Whether the trap has killed a run."""
        return (self._sprung / f"{step.plane}.{step.name}").exists()

    def clear(self) -> None:
        """Takes away what has not sprung."""
        for path in self._armed.iterdir():
            path.unlink(missing_ok=True)
