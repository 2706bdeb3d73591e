"""The plan of a trial, derived from its seed: events, rate, and faults with their times."""

import random
from dataclasses import dataclass
from typing import Literal

from tests.chaos.proxy import Direction
from tests.chaos.steps import STEPS, Step

SECONDS = 5.0
"""The duration for which a trial publishes."""

SERVERS = ("nats", "clickhouse", "elasticsearch", "postgresql")
TARGETS = ("run", "fork server", "daemon", "code server", *SERVERS)
PROXIED = ("nats", "clickhouse", "elasticsearch")

# Each step of a rebuild comes once and the others twice, because a rebuild reads the whole day.
CYCLE = tuple(step for step in STEPS for _ in range(1 if step.rebuilds else 2))


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to inject into the stack."""

    at: float
    """Seconds from the first event. Injecting waits for its target."""
    what: Literal["kill", "freeze", "cut", "terminate", "delete", "fill"]
    target: str
    seconds: float = 0.0
    """The duration of a freeze, or of a full disk."""
    direction: Direction = "request"
    least_bytes: int = 1
    """The minimum size of the data that is cut in the middle."""

    def __str__(self) -> str:
        if self.what in ("freeze", "fill"):
            return f"{self.what} {self.target} {self.seconds:.1f} s"
        if self.what == "cut":
            return f"cut {self.target} {self.direction}"
        return f"{self.what} {self.target}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A trial that has not started yet."""

    seed: int
    events: int
    rate: float
    step: Step
    """The step at which a run is killed."""
    faults: tuple[Fault, ...]
    """Up to two other faults."""
    rebuild_at: float
    """Seconds until a rebuild of the day is requested, if the step belongs to a rebuild."""


def plan(seed: int) -> Plan:
    """The plan of a seed. Consecutive seeds use every step."""
    chance = random.Random(f"plan {seed}")
    events = chance.randint(400, 1_200)
    return Plan(
        seed=seed,
        events=events,
        rate=events / SECONDS,
        step=CYCLE[seed % len(CYCLE)],
        faults=tuple(sorted((_fault(chance) for _ in range(chance.randint(0, 2))), key=_at)),
        rebuild_at=chance.uniform(0.0, SECONDS),
    )


def _fault(chance: random.Random) -> Fault:
    at = chance.uniform(0.5, SECONDS + 4)
    what = chance.choice(("kill", "kill", "freeze", "cut", "terminate", "delete", "fill"))
    if what == "cut":
        return Fault(
            at,
            "cut",
            chance.choice(PROXIED),
            direction=chance.choice(("request", "reply")),
            least_bytes=chance.choice((1, 1_000, 8_000)),
        )
    if what in ("terminate", "delete"):
        return Fault(at, what, "run" if what == "terminate" else "message")
    if what == "fill":
        return Fault(at, "fill", "disk", chance.choice((0.5, 2.0, 4.0)))
    if what == "freeze":
        # The longest freeze exceeds the stack's request timeout.
        return Fault(at, "freeze", chance.choice(TARGETS), chance.choice((1.0, 2.5, 8.0)))
    return Fault(at, "kill", chance.choice(TARGETS))


def _at(fault: Fault) -> float:
    return fault.at
