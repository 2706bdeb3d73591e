"""The summary of a campaign: as one JSON object, and as a section of a Markdown page."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos.plan import CYCLE
from tests.chaos.steps import STEPS
from tests.chaos.trial import Outcome

BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
LENGTH = re.compile(r" [\d.]+ s$")
"""The duration at the end of a fault's description."""


def summary_of(outcomes: Sequence[Outcome], *, began: datetime, seconds: float) -> dict[str, Any]:
    """What the campaign did, how long it took, and every broken guarantee."""
    faults, killed = Counter[str](), Counter[str]()
    for outcome in outcomes:
        faults.update(LENGTH.sub("", fault.what) for fault in outcome.injected if fault.happened)
        killed.update([outcome.step] if outcome.killed_at_step else [])
    return {
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds),
        "processors": os.cpu_count(),
        "seeds": [outcome.seed for outcome in outcomes],
        "events": sum(outcome.events for outcome in outcomes),
        "messages": sum(outcome.messages for outcome in outcomes),
        "faults": dict(sorted(faults.items())),
        "killed_at_step": {f"{step}": killed[f"{step}"] for step in STEPS},
        "seconds_per_trial": _spread([outcome.seconds for outcome in outcomes]),
        "seconds_until_up_again": _spread([outcome.recovered_seconds for outcome in outcomes]),
        "failures": [
            {"seed": outcome.seed, "differences": outcome.differences}
            for outcome in outcomes
            if not outcome.held
        ],
    }


def unused_steps(summary: dict[str, Any]) -> list[str]:
    """The steps at which no run was killed. Empty if the campaign was too short for all steps."""
    if len(summary["seeds"]) < len(CYCLE):
        return []
    return [step for step, count in summary["killed_at_step"].items() if not count]


def as_markdown(summary: dict[str, Any]) -> str:
    """The summary as Markdown: sentences and two tables."""
    seeds, failures = summary["seeds"], summary["failures"]
    trial, again = summary["seconds_per_trial"], summary["seconds_until_up_again"]
    broken = ", ".join(f"seed {failure['seed']}" for failure in failures) or "none"
    lines = [
        f"{summary['began'][:10]}: {len(seeds)} trials, seeds {seeds[0]} to {seeds[-1]}, in "
        f"{summary['seconds'] / 60:.0f} minutes on {summary['processors']} processors.",
        f"{summary['events']:,} events were published in {summary['messages']:,} messages. "
        f"{sum(summary['killed_at_step'].values())} runs were killed at a named step, and "
        f"{sum(summary['faults'].values())} other faults were injected.",
        f"A trial took {trial['median']:.0f} s (median; maximum {trial['longest']:.0f} s). "
        f"Both planes were up to date {again['median']:.0f} s after the last event or fault "
        f"(median; maximum {again['longest']:.0f} s).",
        f"**Broken guarantees: {broken}.**",
        "",
        "| run killed at step | analytics | operational |",
        "|---|---:|---:|",
        *_step_rows(summary["killed_at_step"]),
        "",
        "| other fault | times |",
        "|---|---:|",
        *(f"| {what} | {times} |" for what, times in summary["faults"].items()),
    ]
    return "\n".join(lines)


def around(page: Path) -> tuple[str, str]:
    """The text of a page before and after its markers.

    Raises:
        ValueError: the page lacks the markers.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} lacks the lines {BEGIN} and {END} that enclose the summary.")
    return before, after


def put_into(page: Path, text: str) -> None:
    """Replaces the text between the page's markers.

    Raises:
        ValueError: the page lacks the markers.
    """
    before, after = around(page)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _step_rows(killed: dict[str, int]) -> list[str]:
    names = dict.fromkeys(step.name for step in STEPS)
    return [
        f"| {name} | {killed[f'analytics at {name}']} | {killed[f'operational at {name}']} |"
        for name in names
    ]


def _spread(numbers: Sequence[float]) -> dict[str, float]:
    return {"median": median(numbers or [0.0]), "longest": max(numbers, default=0.0)}
