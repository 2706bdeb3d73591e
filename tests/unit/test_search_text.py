"""The words under which events and requests are found."""

import pytest

from fraiseql_assets.operational.json_text import parts_of_names


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("LineItem", "line item"),
        ('deadlock on "tb_order"', "tb order"),
        ("GRAPHQL_VALIDATION_FAILED in ShipOrder", "graphql validation failed ship order"),
        ("Cannot query field 'totalAmount'", "total amount"),
        ("Order", ""),
        ("_x y_", ""),
        ("ß" * 100_000, ""),
    ],
)
def test_compound_names_are_split_into_parts(text: str, parts: str) -> None:
    assert parts_of_names(text) == parts
