"""Two trials of the fault harness; `make chaos` runs a hundred."""

from collections.abc import Iterator

import pytest
from stacks import own_folder

from tests.chaos.comparison import PublishedEvents
from tests.chaos.lab import Lab, lab
from tests.chaos.plan import plan
from tests.chaos.trial import run_trial

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def stack() -> Iterator[Lab]:
    with own_folder() as folder, lab(folder) as started:
        yield started


@pytest.fixture(scope="module")
def published() -> PublishedEvents:
    return PublishedEvents()


@pytest.mark.parametrize("seed", [236, 238])
def test_both_planes_have_each_event_once_after_kills(
    seed: int, stack: Lab, published: PublishedEvents
) -> None:
    outcome = run_trial(stack, plan(seed), published)
    assert outcome.held, str(outcome)
