"""Runs a target for some time, and keeps each kind of failure with its smallest example."""

import math
import random
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase

from tests.fuzz.target import Check, Target

NUMBER = re.compile(r"\d+")
ROUND = 500
"""How many examples hypothesis makes before it begins anew with another seed."""


@dataclass
class Outcome:
    """What the examples of a target have shown."""

    name: str
    seconds: float = 0
    examples: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    """The smallest example of each kind of failure, with its traceback."""


def run(
    name: str,
    target: Target,
    seconds: float,
    told: Callable[[str], None],
    seed: int | None = None,
    rounds: float = math.inf,
) -> Outcome:
    """Checks examples until the time or the rounds are over. `told` gets each kind of failure."""
    outcome = Outcome(name)
    began = time.monotonic()
    seeds = random.Random(seed)
    with target.open() as check:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and rounds > 0:
            rounds -= 1
            failure = _round(target, check, outcome, ends, seeds.getrandbits(64))
            if failure is not None:
                kind, text = failure
                outcome.failures[kind] = text
                told(f"{name}: {text}")
    outcome.seconds = time.monotonic() - began
    return outcome


def _round(
    target: Target, check: Check, outcome: Outcome, ends: float, seed: int
) -> tuple[str, str] | None:
    """The kind and the text of a failure that is new."""
    smallest: list[tuple[str, str]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @hypothesis.given(target.examples)
    def one(example: Any) -> None:
        if time.monotonic() > ends and not smallest:
            return
        outcome.examples += 1
        try:
            check(example)
        except Exception as error:
            kind = _kind(error)
            # A failure that is known would end every round at once.
            if kind not in outcome.failures:
                smallest[:] = [(kind, f"{example!r}\n{traceback.format_exc()}")]
                raise

    try:
        one()
    except Exception:
        if not smallest:
            raise
    return smallest[0] if smallest else None


def _kind(error: Exception) -> str:
    """The error's type, where it was raised, and the beginning of its message without numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    words = NUMBER.sub("0", str(error))[:80]
    return f"{type(error).__name__} {where} {words}"
