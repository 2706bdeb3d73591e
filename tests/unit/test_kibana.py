"""The data views and the dashboard for Kibana: what Kibana imports, over fields that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fraiseql_assets.operational.client import definition

ROOT = Path(__file__).parents[2]
OBJECTS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (ROOT / "docker" / "kibana" / "fraiseql.ndjson").read_text().splitlines()
]
BY_KEY = {(made["type"], made["id"]): made for made in OBJECTS}
SCHEMA: dict[str, Any] = json.loads(
    (ROOT / "tests" / "data" / "kibana-saved-objects.json").read_text()
)
MAPPINGS = {
    f"fraiseql-{kind}": definition(kind)["mappings"]["properties"]
    for kind in ("events", "requests")
}
COLUMNS = 48
"""The width of a dashboard's grid."""
FITTING = {
    "terms": {"keyword"},
    "date_histogram": {"date"},
    "percentiles": {"long", "double"},
    "sum": {"long", "double"},
}
named = pytest.mark.parametrize("made", OBJECTS, ids=lambda made: f"{made['type']} {made['id']}")


def valid(value: Any, name: str | None = None) -> Any:
    schema = SCHEMA if name is None else {"$defs": SCHEMA["$defs"], "$ref": f"#/$defs/{name}"}
    Draft202012Validator(schema).validate(value)
    return value


def of_type(kind: str) -> list[dict[str, Any]]:
    return [made for made in OBJECTS if made["type"] == kind]


def search_source(made: dict[str, Any]) -> dict[str, Any]:
    text = made["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"]
    return valid(json.loads(text), "searchSource")


def fields_of(made: dict[str, Any]) -> dict[str, Any]:
    """The fields of the data view that an object reads."""
    name = search_source(made)["indexRefName"]
    [view] = [held["id"] for held in made["references"] if held["name"] == name]
    title = BY_KEY["index-pattern", view]["attributes"]["title"]
    return {name: kind for alias in title.split(",") for name, kind in MAPPINGS[alias].items()}


@named
def test_an_object_has_the_format_that_kibana_imports(made: dict[str, Any]) -> None:
    valid(made)
    attributes = made["attributes"]
    for name, value in attributes.items():
        if SCHEMA["$defs"][made["type"]]["properties"]["attributes"]["properties"][name].get(
            "contentMediaType"
        ):
            json.loads(value)
    if "kibanaSavedObjectMeta" in attributes:
        search_source(made)


def test_ids_are_unique() -> None:
    assert len(BY_KEY) == len(OBJECTS)


@named
def test_references_resolve_and_each_is_used(made: dict[str, Any]) -> None:
    assert all((held["type"], held["id"]) in BY_KEY for held in made["references"])
    names = {held["name"] for held in made["references"]}
    if made["type"] in ("search", "visualization"):
        assert names == {search_source(made)["indexRefName"]}
    elif made["type"] == "dashboard":
        panels = json.loads(made["attributes"]["panelsJSON"])
        assert names == {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}


@pytest.mark.parametrize("made", of_type("index-pattern"), ids=lambda made: made["id"])
def test_a_data_view_uses_aliases_of_the_plane(made: dict[str, Any]) -> None:
    for alias in made["attributes"]["title"].split(","):
        assert MAPPINGS[alias][made["attributes"]["timeFieldName"]]["type"] == "date"


@pytest.mark.parametrize(
    "made", [*of_type("search"), *of_type("visualization")], ids=lambda made: made["id"]
)
def test_fields_exist_and_support_their_use(made: dict[str, Any]) -> None:
    fields = fields_of(made)
    asked = re.findall(r"(\w+) :", search_source(made)["query"]["query"])
    assert all(fields[name].get("index", True) for name in asked)
    attributes = made["attributes"]
    if made["type"] == "search":
        assert set(attributes["columns"]) <= set(fields)
        assert all(fields[name].get("doc_values", True) for name, _ in attributes["sort"])
        return
    state = valid(json.loads(attributes["visState"]), "visState")
    assert state["type"] == state["params"]["type"]
    numbers = [part["id"] for part in state["aggs"]]
    assert len(set(numbers)) == len(numbers)
    for part in state["aggs"]:
        if part["type"] != "count":
            assert fields[part["params"]["field"]]["type"] in FITTING[part["type"]]
        if part["type"] == "terms":
            assert part["params"]["orderBy"] in numbers


@pytest.mark.parametrize("made", of_type("dashboard"), ids=lambda made: made["id"])
def test_panels_do_not_overlap(made: dict[str, Any]) -> None:
    valid(json.loads(made["attributes"]["optionsJSON"]), "options")
    panels = valid(json.loads(made["attributes"]["panelsJSON"]), "panels")
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"]
        assert grid["x"] + grid["w"] <= COLUMNS
        cells = {
            (grid["x"] + across, grid["y"] + down)
            for across in range(grid["w"])
            for down in range(grid["h"])
        }
        assert not cells & taken
        taken |= cells


def test_every_panel_is_on_the_dashboard() -> None:
    shown = {
        (held["type"], held["id"]) for made in of_type("dashboard") for held in made["references"]
    }
    assert shown == {
        (made["type"], made["id"]) for made in (*of_type("search"), *of_type("visualization"))
    }
