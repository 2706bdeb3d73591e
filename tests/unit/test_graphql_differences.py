"""The table of differences from FraiseQL: every row has a test that holds it.

A row is held by recorded queries of `tests/data/fraiseql/differences.json` that name it as their
reason, or by a test that is listed here.
"""

import ast
import json
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/graphql.md"
RECORDED = TESTS / "data/fraiseql/differences.json"
ANSWERS = "end_to_end/test_graphql_fraiseql_answers.py"
RELAY = "end_to_end/test_graphql_relay_types.py"
HELD = {
    "`Decimal`, bigints, `Float` in documents": (
        "end_to_end/test_graphql_documents.py",
        "test_values_at_the_limits_of_their_types_are_returned",
    ),
    "a value of a wrong type": (
        "end_to_end/test_graphql_results.py",
        "test_a_document_of_the_wrong_type_is_an_error_with_path_and_row",
    ),
    "`array_overlaps`": (
        "end_to_end/test_graphql_operators.py",
        "test_an_operator_matches_the_expected_rows",
    ),
    "an unknown enum value in `where`": (ANSWERS, "test_what_only_fraiseql_answers_is_an_error"),
    "a number compared with a `String`": (ANSWERS, "test_what_only_fraiseql_answers_is_an_error"),
    "items of a list query": (ANSWERS, "test_the_items_of_a_list_are_never_null"),
    "first page without `first` or `last`": (
        RELAY,
        "test_a_first_page_without_a_size_has_all_rows",
    ),
    "a relay cursor column that is neither `id` nor the primary key": (
        "end_to_end/test_graphql_exact.py",
        "test_pages_have_every_row_once_in_both_directions",
    ),
    "`orderBy` of a relay query": (RELAY, "test_pages_in_any_order_have_all_rows"),
    "`requires_scope` without a `security` section": (
        "unit/test_graphql_access.py",
        "test_without_role_definitions_no_principal_has_a_scope",
    ),
    "row security with the result cache off": (
        "end_to_end/test_graphql_row_security.py",
        "test_the_isolation_of_tenants_does_not_depend_on_the_result_cache",
    ),
    "`fraiseql.started_at`": (
        "end_to_end/test_graphql_row_security.py",
        "test_the_time_of_the_start_is_not_set",
    ),
    "`nearest`, vector, network, ltree and full-text operators": (
        ANSWERS,
        "test_what_only_fraiseql_answers_is_an_error",
    ),
    "aggregates over `fact_tables`, `@defer`, `@stream`": (
        ANSWERS,
        "test_what_only_fraiseql_answers_is_an_error",
    ),
    "rate limits, cost budgets, login": (
        "unit/test_graphql_access.py",
        "test_rate_limits_and_login_settings_do_not_refuse_a_schema",
    ),
}


def rows() -> list[list[str]]:
    """The cells of each row of the table."""
    section = PAGE.read_text().partition("## Compared with FraiseQL")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[1:]]


@cache
def functions(path: str) -> set[str]:
    """The names of the functions of a test file."""
    tree = ast.parse((TESTS / path).read_text())
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


def test_every_row_has_a_recorded_query_or_a_test() -> None:
    recorded = {one["reason"] for one in json.loads(RECORDED.read_text()).values()}
    assert recorded.isdisjoint(HELD)
    assert {row[0] for row in rows()} == recorded | HELD.keys()


@pytest.mark.parametrize("name", HELD)
def test_a_row_is_held_by_a_test_that_exists(name: str) -> None:
    path, test = HELD[name]
    assert test in functions(path)


def test_every_row_is_a_difference() -> None:
    assert [row[0] for row in rows() if row[1] == row[2]] == []
