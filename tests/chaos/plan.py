"""What a seed means: how many events, at what rate, and what is hurt when. Pure."""

import random
from dataclasses import dataclass
from typing import Literal

from tests.chaos.proxy import Direction
from tests.chaos.steps import STEPS, Step

SECONDS = 5.0
"""How long a trial publishes."""

SERVERS = ("nats", "clickhouse", "elasticsearch", "postgresql")
TARGETS = ("run", "fork server", "daemon", "code server", *SERVERS)
PROXIED = ("nats", "clickhouse", "elasticsearch")

CYCLE = tuple(
    step for step in STEPS for _ in range(1 if step.rebuilds else 2)
)  # Rebuilds read the whole day again: each step of them comes once, the others twice.


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done to the stack."""

    at: float
    """Seconds from the first event. What is to be hurt is waited for."""
    what: Literal["kill", "freeze", "cut", "terminate", "delete"]
    target: str
    seconds: float = 0.0
    """How long it stays frozen."""
    direction: Direction = "request"
    least_bytes: int = 1
    """The size of a piece that is cut in the middle."""

    def __str__(self) -> str:
        if self.what == "freeze":
            return f"freeze {self.target} {self.seconds:.1f} s"
        if self.what == "cut":
            return f"cut {self.target} {self.direction}"
        return f"{self.what} {self.target}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A trial before it happens."""

    seed: int
    events: int
    rate: float
    step: Step
    """The step at which a run is killed."""
    faults: tuple[Fault, ...]
    """None to two others."""
    rebuild_at: float
    """When a rebuild of the day is asked for, if the step is one of a rebuild."""


def plan(seed: int) -> Plan:
    """The trial of a seed. Consecutive seeds come by every step."""
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
    what = chance.choice(("kill", "kill", "freeze", "cut", "terminate", "delete"))
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
    if what == "freeze":
        # The longest outlasts the stack's request timeout.
        return Fault(at, "freeze", chance.choice(TARGETS), chance.choice((1.0, 2.5, 8.0)))
    return Fault(at, "kill", chance.choice(TARGETS))


def _at(fault: Fault) -> float:
    return fault.at
