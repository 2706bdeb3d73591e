"""Query strings: valid ones are accepted, and errors show the position of the mistake."""

import re

import pytest

from fraiseql_assets.operational.search.syntax import parse
from fraiseql_assets.operational.search.values import QueryMistake


@pytest.mark.parametrize(
    "query",
    [
        "",
        "payment declined",
        '"card was declined"',
        "entity_type:Order AND NOT status:ok",
        "entity_type:(Order OR Invoice) -event_type:DELETE",
        "data.customer.country:FR",
        'data.note:"to: you"',
        "data.sku:AB-*",
        "duration_ms:>100",
        "duration_ms:[100 TO *]",
        "timestamp:[2026-01-01 TO now-1h]",
        'timestamp:["2026-01-01T00:00:00Z" TO "2026-01-02T00:00:00Z"}',
        "data.shipped_on:[2026-01-01 TO 2026-02-01]",
        "_exists_:changes.status",
        'refun* OR refund~1 OR "refund order"~2',
        "o-1 8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e é 😀",
        "declined^2 gateway",
        r"path\:literal",
        "((a b) OR (c d))",
    ],
)
def test_a_valid_query_is_not_changed(query: str) -> None:
    assert parse(query).sent == query


def test_a_slash_does_not_start_a_regular_expression() -> None:
    assert parse("/graphql and/or").sent == r"\/graphql and\/or"


@pytest.mark.parametrize(
    ("query", "position", "message"),
    [
        ("status:error AND entty_type:Order", 17, "Did you mean entity_type?"),
        ("colour:red", 0, "There is no field colour."),
        ("data.:x", 0, "There is no field data.."),
        ("a AND (b OR c", 6, "not closed"),
        ("a b)", 3, "closes no other"),
        ('say "hello', 4, "quote is not closed"),
        ("status: error", 7, "has no value"),
        ("status:", 7, "has no value"),
        ("a AND", 5, "missing"),
        ("OR a", 0, "needs something before it"),
        ("duration_ms:fast", 12, "is a number"),
        ("duration_ms:[1 TO fast]", 18, "is a number"),
        ("timestamp:yesterday", 10, "is a time"),
        ("duration_ms:[100]", 12, "[low TO high]"),
        ("[1 TO 2]", 0, "belongs to a field"),
        ("data.total:[10 TO 20]", 12, "9 comes after 10"),
        ("data.total:>10", 12, "9 comes after 10"),
        ("data.na*me:x", 0, "written out"),
        ("data.name:*x", 10, "at a value's end only"),
        ("> 5", 0, "compares a field"),
        ("_exists_:colour", 9, "There is no field colour."),
        ("time 12:30", 5, "There is no field 12."),
        ("a ~2", 2, "stands behind a word"),
        ("x" * 5_000, 4_096, "at most 4,096"),
        ("(" * 60 + "a" + ")" * 60, 50, "brackets deep"),
    ],
)
def test_a_syntax_error_has_its_position(query: str, position: int, message: str) -> None:
    with pytest.raises(QueryMistake) as caught:
        parse(query)
    assert message in caught.value.message
    assert caught.value.position == position


def test_a_value_that_is_too_long_for_its_path_is_an_error_with_its_position() -> None:
    # The server counts UTF-16 code units: an emoji is two.
    for value in ("w" * 1025, '"' + "w " * 513 + '"', "w" * 1025 + "*", "😀" * 513):
        query = f"word OR data.note:(x OR {value})"
        parsed = parse(query)
        assert parsed.sent == query
        assert parsed.too_long is not None
        assert re.search(r"indexed up to 1,024, .* without", parsed.too_long.message)
        assert parsed.too_long.position == query.index(value)


@pytest.mark.parametrize(
    "query",
    [
        f"data.note:{'w' * 1024}",
        f"data.note:{'😀' * 512}",
        r"data.note:w\:" + "w" * 1022,
        f"data.note:>{'w' * 1025}",
        f"{'w' * 1025} entity_type:{'w' * 1025}",
    ],
)
def test_what_a_limit_of_paths_does_not_concern_is_not_too_long(query: str) -> None:
    assert parse(query).too_long is None
