"""Flight SQL: its messages as bytes, and the gate of its statements, as their property tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.target import Check, Target
from tests.unit import test_sql_commands as commands
from tests.unit import test_sql_grammar as grammar


def _property(test: Any) -> Callable[..., None]:
    """The check of a property test, without its examples."""
    return test.hypothesis.inner_test


@contextmanager
def _decoder() -> Iterator[Check]:
    yield _property(commands.test_any_bytes_are_a_message_or_refused)


@contextmanager
def _grammar() -> Iterator[Check]:
    check = _property(grammar.test_any_accepted_statement_only_reads)
    yield lambda example: check(*example)


DECODER = Target(
    st.binary(max_size=400) | commands.CUT | commands.CHANGED | commands.WRAPPED, _decoder
)
STATEMENTS = (
    grammar.MADE
    | grammar.CUT
    | grammar.INSERTED
    | st.text(max_size=200)
    | st.lists(grammar.PIECES | st.text(max_size=5), max_size=60).map(" ".join)
)
GRAMMAR = Target(st.tuples(STATEMENTS, st.sampled_from(grammar.DIALECTS)), _grammar)
