"""The fault harness: the plan of a seed, and the summary of a campaign."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.faults import InjectedFault
from tests.chaos.plan import CYCLE, plan
from tests.chaos.steps import STEPS
from tests.chaos.summary import (
    BEGIN,
    END,
    as_markdown,
    put_into,
    summary_of,
    unused_steps,
)
from tests.chaos.traffic import traffic
from tests.chaos.trial import Outcome

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)


def outcome(seed: int, *differences: str, killed: bool = True) -> Outcome:
    return Outcome(
        seed=seed,
        events=500,
        messages=600,
        step=str(plan(seed).step),
        killed_at_step=killed,
        injected=[
            InjectedFault("freeze nats 2.5 s", 1.0, happened=True),
            InjectedFault("kill run", 2.0, happened=False),
        ],
        recovered_seconds=8.0,
        seconds=20.0,
        differences=list(differences),
    )


def test_a_seed_always_gives_the_same_plan() -> None:
    assert plan(7) == plan(7)
    first, second = (traffic(7, 500, "p") for _ in range(2))
    assert first.malformed == second.malformed
    assert len(first.messages) == len(second.messages)


def test_consecutive_seeds_use_every_step() -> None:
    assert {plan(seed).step for seed in range(100, 100 + len(CYCLE))} == set(STEPS)


def test_only_injected_faults_are_counted() -> None:
    summary = summary_of([outcome(0), outcome(1, killed=False)], began=BEGAN, seconds=40)
    assert summary["faults"] == {"freeze nats": 2}
    assert sum(summary["killed_at_step"].values()) == 1


def test_a_failed_trial_is_listed_with_its_errors() -> None:
    summary = summary_of([outcome(0), outcome(1, "it lacks one")], began=BEGAN, seconds=40)
    assert summary["failures"] == [{"seed": 1, "differences": ["it lacks one"]}]
    assert "Broken guarantees: seed 1." in as_markdown(summary)


def test_steps_without_a_kill_are_listed_after_a_full_cycle() -> None:
    few = [outcome(seed, killed=False) for seed in range(len(CYCLE) - 1)]
    assert not unused_steps(summary_of(few, began=BEGAN, seconds=40))
    all_but_one = [outcome(seed, killed=plan(seed).step != STEPS[3]) for seed in range(len(CYCLE))]
    assert unused_steps(summary_of(all_but_one, began=BEGAN, seconds=40)) == [str(STEPS[3])]


def test_a_new_summary_replaces_the_previous_one(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


def test_a_page_without_markers_is_refused_and_unchanged(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        put_into(page, "new")
    assert page.read_text() == "text\n"


def test_the_guarantees_page_has_the_markers_of_the_summary() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text()
    written = page.partition(BEGIN)[2].partition(END)[0]
    summary = as_markdown(summary_of([outcome(0)], began=BEGAN, seconds=40))
    assert _form(written) == _form(summary)


def _form(text: str) -> list[str]:
    """The sentences and the heads of the tables, without numbers. Rows differ each time."""
    lines = re.sub(r"[\d,.]+", "0", text.strip()).splitlines()
    following = [*lines[1:], ""]
    return [
        line
        for line, next_line in zip(lines, following, strict=True)
        if not line.startswith("|") or next_line.startswith("|---")
    ]
