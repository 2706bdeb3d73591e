"""A plane that fails at a chosen step, before or after executing it.

A real server cannot be made to fail at an exact step. The steps before it run on a real server.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from fraiseql_assets.planes import Block, Plane, PlaneUnavailable, Written

STEPS = frozenset({"record", "write", "replace", "swap"})
"""The methods that count as steps."""


class StepFailed(PlaneUnavailable):
    """The failure that the test requested."""


class Failing:
    """Wraps a plane, and the replacements that it begins, and counts their steps."""

    def __init__(self, target: Any, failure: "StepFailure") -> None:
        self._target, self._failure = target, failure

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._failure.over(found, name) if name in STEPS else found

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        """Each block is a step, and others may be in flight when one of them fails."""
        chosen: deque[bool] = deque()

        def counted() -> Iterator[Block]:
            for block in blocks:
                chosen.append(self._failure.begin("write"))
                yield block

        with closing(self._target.write_all(counted())) as results:
            for written in results:
                if chosen.popleft():
                    raise StepFailed("after write")
                yield written


class StepFailure:
    """A failure at the step `number`, counted from 1, before or after the step."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left, self.after = number, after

    def on(self, plane: Plane) -> Any:
        return Failing(plane, self)

    def begin(self, name: str) -> bool:
        """Counts a step, and fails if it is before the chosen one. Returns whether it is to fail
        after this step."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise StepFailed(f"before {name}")
        return self.left == 0

    def over(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        def stepping(*args: Any, **named: Any) -> Any:
            is_chosen = self.begin(name)
            done = step(*args, **named)
            if is_chosen:
                raise StepFailed(f"after {name}")
            return Failing(done, self) if name == "replace" else done

        return stepping
