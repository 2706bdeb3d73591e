"""The runner of `python -m tests.fuzz`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.run import run
from tests.fuzz.target import Check, Target

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


def failing(least: int) -> Target:
    """A target that fails on numbers from `least` on."""

    @contextmanager
    def opened() -> Iterator[Check]:
        def check(number: int) -> None:
            assert number < least, f"{number} is too large"

        yield check

    return Target(st.integers(0, 10**6), opened)


def test_each_kind_of_failure_is_kept_once_with_its_smallest_example() -> None:
    told: list[str] = []
    outcome = run("numbers", failing(1000), 3600, told.append, seed=1, rounds=2)
    assert len(outcome.failures) == len(told) == 1
    assert told[0].startswith("numbers: 1000\n")
    assert "1000 is too large" in told[0]


def test_a_target_without_failures_has_none() -> None:
    outcome = run("numbers", failing(10**7), 3600, lambda _: None, seed=1, rounds=1)
    assert outcome.examples > 0
    assert not outcome.failures


def test_the_page_on_security_names_every_target() -> None:
    from tests.fuzz.targets import TARGETS

    text = SECURITY.read_text()
    assert [name for name in TARGETS if f"| `{name}` |" not in text] == []


def test_the_tickets_are_of_every_type_with_every_field() -> None:
    from flight_service.registry import registry
    from flight_service.sql.commands import SqlCommand
    from flight_service.tickets import Ticket
    from fraiseql_assets.request_log.publisher import Unrecorded
    from fraiseql_assets.settings import Settings
    from tests.fuzz.ticket_examples import BODIES, FIELDS, FIELDS_OF, OF_ALL

    served = registry(Settings(), Unrecorded())
    expected = {
        kind.__name__: set(kind.__struct_encode_fields__) - set(Ticket.__struct_encode_fields__)
        for kind in served.resolvers
        if kind is not SqlCommand
    }
    assert {kind: set(names) for kind, names in FIELDS_OF.items()} == expected
    assert set(OF_ALL) == set(Ticket.__struct_encode_fields__)
    assert set().union(*FIELDS_OF.values(), OF_ALL) <= set(FIELDS)
    assert served.sql is not None
    actions = {one.name for one in served.actions} | {one.type for one in served.sql.listed}
    assert actions <= set(BODIES)
