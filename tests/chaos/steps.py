"""The named steps of a run. A trap kills a run at a step.

`hooks/sitecustomize.py` uses the same names and kills the run from within.
"""

from dataclasses import dataclass
from pathlib import Path

PLANES = ("analytics", "operational")

RANGE_STEPS = {
    "asked": "launched, nothing read",
    "begun": "the range recorded as begun",
    "read": "the first batch read",
    "decoded": "the first batch decoded",
    "block-written": "a block written, the next not or being written",
    "all-written": "all blocks written, the range not committed",
    "committed": "the range committed, the run not reported",
    "waiting": "the range committed, the run waiting for the next",
    "next-begun": "the run's second range begun",
    "compacting": "the run's ranges recorded as one, the old entries not deleted",
}
END_STEPS = ("compacting",)
"""Steps after the last range of a run."""
REBUILD_STEPS = {
    "staging-filled": "the new partition filled, none of it visible",
    "swapping": "the swap begun (analytics: one table of four swapped; operational: none)",
    "swapped": "swapped, the ledger not written",
    "recorded": "the ledger written, the replaced entries not deleted",
}


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A step of a run of one plane."""

    plane: str
    name: str

    @property
    def rebuilds(self) -> bool:
        """Whether only a run that rebuilds a day has this step."""
        return self.name in REBUILD_STEPS

    def __str__(self) -> str:
        return f"{self.plane} at {self.name}"


STEPS = tuple(Step(plane, name) for name in (*RANGE_STEPS, *REBUILD_STEPS) for plane in PLANES)


class Traps:
    """Traps for runs, stored as files that the hooks in every run look for.

    A trap kills the first run that reaches its step, and works once.
    """

    def __init__(self, folder: Path) -> None:
        self._armed, self._fired = folder / "armed", folder / "fired"
        for path in (self._armed, self._fired):
            path.mkdir(parents=True, exist_ok=True)

    def set(self, step: Step) -> None:
        """Sets a trap, even if it has fired before."""
        name = f"{step.plane}.{step.name}"
        (self._fired / name).unlink(missing_ok=True)
        (self._armed / name).touch()

    def has_fired(self, step: Step) -> bool:
        """Whether the trap has killed a run."""
        return (self._fired / f"{step.plane}.{step.name}").exists()

    def clear(self) -> None:
        """Removes all traps that have not fired."""
        for path in self._armed.iterdir():
            path.unlink(missing_ok=True)
