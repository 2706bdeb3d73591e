"""A plane that fails at one step, before or after having done it.

No real server fails at a step of our choosing. What is done, up to there, is done on a real one.
"""

from collections.abc import Callable
from typing import Any

from fraiseql_assets.planes import Plane, PlaneUnavailable

STEPS = frozenset({"record", "write", "replace", "swap"})
"""What a run does to a plane."""


class Struck(PlaneUnavailable):
    """The plane failed, as was asked for."""


class Failing:
    """Everything of a plane, and of the replacement that it begins, counted step by step."""

    def __init__(self, target: Any, strike: "Strike") -> None:
        self._target, self._strike = target, strike

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._strike.over(found, name) if name in STEPS else found


class Strike:
    """Where it strikes: at the step `number`, counted from 1, before it or after."""

    def __init__(self, number: int, *, after: bool) -> None:
        self.left, self.after = number, after
        self.struck = False

    def on(self, plane: Plane) -> Any:
        return Failing(plane, self)

    def over(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        def stepping(*args: Any, **named: Any) -> Any:
            self.left -= 1
            self.struck = self.left == 0
            if self.struck and not self.after:
                raise Struck(f"before {name}")
            done = step(*args, **named)
            if self.struck:
                raise Struck(f"after {name}")
            return Failing(done, self) if name == "replace" else done

        return stepping
