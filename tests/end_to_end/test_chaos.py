"""Two trials of the fault harness; `make chaos` runs a hundred."""

from collections.abc import Iterator

import pytest
from stacks import own_folder

from tests.chaos.books import Books
from tests.chaos.lab import Lab, lab
from tests.chaos.plan import plan
from tests.chaos.trial import carry_out

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def hurt() -> Iterator[Lab]:
    with own_folder() as folder, lab(folder) as stack:
        yield stack


@pytest.fixture(scope="module")
def books() -> Books:
    return Books()


@pytest.mark.parametrize("seed", [236, 238])
def test_both_planes_have_each_event_once_after_kills(seed: int, hurt: Lab, books: Books) -> None:
    outcome = carry_out(hurt, plan(seed), books)
    assert outcome.held, str(outcome)
