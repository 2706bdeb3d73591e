"""The page of search, held against the fields and the ticket."""

from pathlib import Path

import pytest

from flight_service.search import Search
from fraiseql_assets.cli.commands.search import Count as CommandCount
from fraiseql_assets.operational.client import definition
from fraiseql_assets.operational.search.request import Counts
from fraiseql_assets.operational.search.schema import FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


@pytest.mark.parametrize("name", FIELDS)
def test_the_search_page_lists_every_field(name: str) -> None:
    assert f"`{name}`" in PAGE or f"`{name}.…`" in PAGE


@pytest.mark.parametrize("name", Search.__struct_fields__)
def test_the_search_page_lists_every_field_of_the_ticket(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_field_is_mapped_and_indexed() -> None:
    mapped = {
        name
        for kind in ("events", "requests")
        for name, field in definition(kind)["mappings"]["properties"].items()
        if field.get("index", True) and name != "stream_row"
    }
    assert set(FIELDS) == mapped


def test_the_command_and_the_page_have_every_way_to_count() -> None:
    assert [*CommandCount] == [*Counts]
    assert all(f"`{way}`" in PAGE and f"--count {way}" in PAGE for way in Counts)
