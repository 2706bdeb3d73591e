"""Names and variables of short tickets."""

import json
from typing import Any

import pytest

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import build_schema
from flight_service.graphql.transport.shorthand import Shorthand

AUTO = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}


def listing(name: str, source: str) -> dict[str, Any]:
    shape = {"return_type": "Order", "returns_list": True, "nullable": False}
    return {"name": name, "sql_source": source, "auto_params": AUTO, **shape}


@pytest.fixture(scope="module")
def names() -> Shorthand:
    fields = [
        {"name": "id", "field_type": "ID", "nullable": False},
        {"name": "placedAt", "field_type": "DateTime", "nullable": True},
    ]
    days = [{"name": "day", "field_type": "Date", "nullable": True}]
    both = [*fields, *days]
    compiled = {
        "types": [
            {"name": "Order", "sql_source": "v_order", "fields": fields},
            {"name": "Day", "sql_source": "v_day", "fields": days},
            {"name": "Both", "sql_source": "v_both", "fields": both},
        ],
        "queries": [
            listing("orders", "v_order"),
            listing("ordersDaily", "analytics.va_orders_daily"),
            listing("archive", "tv_archived_order"),
            {**listing("secrets", "tv_secret"), "requires_role": "admin"},
            {**listing("days", "v_day"), "return_type": "Day"},
            {**listing("both", "v_both"), "return_type": "Both"},
        ],
    }
    return Shorthand(build_schema(decode(json.dumps(compiled).encode())))


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("orders", "orders"),
        ("ordersDaily", "ordersDaily"),
        ("orders_daily", "ordersDaily"),
        ("va_orders_daily", "ordersDaily"),
        ("ta_orders_daily", "ordersDaily"),
        ("analytics.va_orders_daily", "ordersDaily"),
        ("analytics.orders_daily", "ordersDaily"),
        ("v_order", "orders"),
        ("va_order", "orders"),
        ("ta_order", "orders"),
        ("order", "orders"),
        ("tv_archived_order", "archive"),
        ("archived_order", "archive"),
        ("other.va_orders_daily", None),
        ("va_", None),
        ("nothing", None),
    ],
)
def test_a_query_is_found_by_its_name_and_its_relations(
    names: Shorthand, name: str, query: str | None
) -> None:
    assert names.query(name) == query


def test_variables_are_named_as_arguments_are_or_in_snake_case(names: Shorthand) -> None:
    given = names.arguments("orders_daily", {"order_by": [{"field": "id"}], "limit": 5})
    assert given == {"orderBy": [{"field": "id"}], "limit": 5}
    document = names.document("orders_daily", given)
    assert document is not None
    assert "orderBy: $orderBy, limit: $limit" in document


def test_an_empty_object_for_a_number_is_no_value(names: Shorthand) -> None:
    assert names.arguments("orders", {"limit": {}, "where": {}}) == {"where": {}}


def test_an_unknown_argument_is_refused(names: Shorthand) -> None:
    with pytest.raises(QueryRefused, match="orders has no argument 'day'; it has where, "):
        names.document("orders", names.arguments("orders", {"day": 1}))


def test_errors_name_only_what_every_principal_may_use(names: Shorthand) -> None:
    assert names.summary() == (
        "Queries: orders, ordersDaily, archive, days, both. "
        "Views: v_order, analytics.va_orders_daily, tv_archived_order, v_day, v_both."
    )
    with pytest.raises(QueryRefused) as error:
        names.document("secrets", {"day": 1})
    assert str(error.value) == "secrets has no argument 'day'."


def test_dates_are_conditions_on_the_one_field_of_time(names: Shorthand) -> None:
    dates = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
    condition = {
        "placedAt": {"gte": "2026-01-01T00:00:00+00:00", "lt": "2026-02-01T00:00:00+00:00"}
    }
    assert names.arguments("orders", dates) == {"where": condition}
    both = names.arguments("orders", {**dates, "where": {"id": {"eq": "1"}}})
    assert both == {"where": {"_and": [{"id": {"eq": "1"}}, condition]}}
    assert names.document("orders", both)


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ({"start_date": "2026-01-31"}, {"gte": "2026-01-31"}),
        ({"end_date": "2026-01-31"}, {"lt": "2026-02-01"}),
        ({"start_date": "2026-01-31T12:00:00Z"}, {"gte": "2026-02-01"}),
        ({"end_date": "2026-01-31T12:00:00Z"}, {"lt": "2026-02-01"}),
        ({"end_date": "2026-01-31T00:00:00Z"}, {"lt": "2026-01-31"}),
    ],
)
def test_dates_are_compared_as_midnight(
    names: Shorthand, given: dict[str, str], condition: dict[str, str]
) -> None:
    assert names.arguments("days", given) == {"where": {"day": condition}}


def test_dates_for_several_fields_are_refused(names: Shorthand) -> None:
    with pytest.raises(QueryRefused, match="Both has placedAt, day for start_date"):
        names.arguments("both", {"start_date": "2026-01-01"})
