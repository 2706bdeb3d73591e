"""A plane that fails at a chosen step, before or after executing it.

A real server cannot be made to fail at an exact step. The steps before it run on a real server.
"""

from collections.abc import Callable
from typing import Any

from fraiseql_assets.planes import Plane, PlaneUnavailable

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


class StepFailure:
    """A failure at the step `number`, counted from 1, before or after the step."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left, self.after = number, after
        self.has_failed = False

    def on(self, plane: Plane) -> Any:
        return Failing(plane, self)

    def over(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        def stepping(*args: Any, **named: Any) -> Any:
            self.left -= 1
            self.has_failed = self.left == 0
            if self.has_failed and not self.after:
                raise StepFailed(f"before {name}")
            done = step(*args, **named)
            if self.has_failed:
                raise StepFailed(f"after {name}")
            return Failing(done, self) if name == "replace" else done

        return stepping
