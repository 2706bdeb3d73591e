"""No value and no field makes the search server lose an event or a request: mappings do not grow,
and what does not fit one is kept as text."""

import copy
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from elasticsearch import Elasticsearch
from event_tables import DAY, STREAM, event
from request_rows import request as recorded

from fraiseql_assets.datasets import DATASETS, Dataset
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.setup import index_definition
from fraiseql_assets.planes import Block, Written
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings

ROWS = {"events": event, "requests": recorded}
OBJECTS = {"events": "data", "requests": "variables"}
VALUES = (
    '{"a": 1}',
    '{"a": "one"}',
    '{"a": {"b": true}}',
    '{"a": [1, {"b": null}]}',
    '{"a": "2026-01-31"}',
    '{"a": 1, "a": 2}',
    '{"a": ' * 60 + "1" + "}" * 60,
)
"""At one path a number, a text, an object, a list and a date; a duplicate key; one too deep."""


@dataclass(frozen=True, slots=True)
class Day:
    """A dataset's plane, and what its server holds."""

    dataset: Dataset
    plane: OperationalPlane
    server: Elasticsearch
    names: Names

    def write(self, *texts: str) -> Written:
        """Writes a row per text, which is its object."""
        column = OBJECTS[self.dataset.name]
        make = ROWS[self.dataset.name]
        rows = [make(number, **{column: text}) for number, text in enumerate(texts, start=1)]
        table = pa.Table.from_pylist(rows, schema=self.dataset.schema)
        sequences = SequenceRange(1, len(rows))
        return self.plane.write(Block(table, STREAM, sequences, DAY, 0, "conflicts"))

    def texts(self) -> list[str]:
        """The objects of all rows, as they are read back."""
        column = OBJECTS[self.dataset.name]
        return [text for each in self.plane.events(DAY, 99) for text in each[column].to_pylist()]

    def mapping(self) -> dict[str, Any]:
        [held] = self.server.indices.get_mapping(index=self.names.day(DAY)).values()
        return held["mappings"]


@pytest.fixture(params=ROWS)
def day(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Day]:
    dataset = DATASETS[request.param]
    with (
        closing(OperationalPlane(settings, dataset)) as plane,
        connect(settings, timeout=30) as server,
    ):
        plane.setup()
        yield Day(dataset, plane, server, Names.of(settings, dataset))


def test_values_of_conflicting_types_at_one_path_are_all_kept(day: Day) -> None:
    assert day.write(*VALUES) == Written(len(VALUES), 0, [])
    assert day.texts() == list(VALUES)


def test_values_never_change_the_mapping(day: Day) -> None:
    wanted = index_definition(day.server, day.dataset)["mappings"]
    day.write(*VALUES)
    assert day.mapping()["properties"].keys() == wanted["properties"].keys()
    assert day.mapping()["dynamic"] == "false"


def test_values_without_a_field_in_an_older_index_are_kept(day: Day) -> None:
    # With `dynamic: strict` the server would refuse these rows.
    older = copy.deepcopy(index_definition(day.server, day.dataset)["mappings"])
    for name in ("tenant_id", "duration_ms", "text"):
        del older["properties"][name]
    alias = day.names.day(DAY)
    # The template would add what the older index lacks.
    day.server.indices.delete_index_template(name=day.names.all_days)
    day.server.indices.create(
        index=f"{alias}-000001", mappings=older, aliases={alias: {}, day.names.all_days: {}}
    )
    assert day.write('{"a": 1}', '{"a": 2}') == Written(2, 0, [])
    assert "tenant_id" not in day.mapping()["properties"]
    [batch] = day.plane.events(DAY, 99)
    assert batch["tenant_id"].to_pylist() == ["acme", "acme"]
    assert batch["duration_ms"].to_pylist() == [1, 2]
