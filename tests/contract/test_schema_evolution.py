"""An application changes its types: both planes keep the old events, take the new ones, and refuse
nothing. docs/schema-evolution.md says what to do."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from log_messages import store_events

from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import AssetReader, Plane
from fraiseql_assets.settings import Settings

Ingest = Callable[..., Report]


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"e-{number}",
        "event_type": "INSERT",
        "entity_type": "Order",
        "entity_id": f"o-{number}",
        "data": {"total": 12},
        "timestamp": f"2026-01-01T00:00:{number:02}Z",
        **changes,
    }


def written(
    events: Iterable[dict[str, Any]],
    plane: Plane,
    reader: AssetReader,
    settings: Settings,
    ingest: Ingest,
) -> list[dict[str, Any]]:
    """The events as the plane gives them, in the log's order, after a run has taken them."""
    store_events(settings, events)
    assert ingest(plane).dead_letters == 0
    [asset] = [key for key in reader.assets() if key.endswith("/events")]
    rows = [row for batch in reader.batches(asset) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["stream_seq"])


def test_data_may_change_its_structure_over_time(
    plane: Plane, reader: AssetReader, settings: Settings, ingest: Ingest
) -> None:
    forms: list[Any] = [
        {"total": 12},
        {"total": 12, "note": "a new field"},
        {},
        {"total": "twelve"},
        {"total": {"amount": 12, "currency": "EUR"}},
        {"total": [12, 13]},
        {"total": None},
    ]
    events = [event(number, data=data) for number, data in enumerate(forms)]
    found = written(events, plane, reader, settings, ingest)
    assert [json.loads(row["data"]) for row in found] == forms


def test_a_renamed_entity_and_a_new_kind_of_event_are_new_values(
    plane: Plane, reader: AssetReader, settings: Settings, ingest: Ingest
) -> None:
    events = [
        event(1),
        event(2, entity_type="Purchase"),
        event(3, entity_type="Purchase", event_type="ARCHIVE"),
    ]
    found = written(events, plane, reader, settings, ingest)
    assert [(row["entity_type"], row["event_type"]) for row in found] == [
        ("Order", "INSERT"),
        ("Purchase", "INSERT"),
        ("Purchase", "ARCHIVE"),
    ]


def test_an_unknown_field_of_an_event_is_ignored(
    plane: Plane, reader: AssetReader, settings: Settings, ingest: Ingest
) -> None:
    events = [event(1, region="eu"), event(2, schema_version="v2")]
    found = written(events, plane, reader, settings, ingest)
    assert [(row["event_id"], row["schema_version"]) for row in found] == [
        ("e-1", None),
        ("e-2", "v2"),
    ]
    assert "region" not in found[0]


def test_an_event_without_a_time_is_a_dead_letter_message(
    plane: Plane, settings: Settings, ingest: Ingest
) -> None:
    store_events(settings, [event(1), event(2, timestamp=None)])
    report = ingest(plane)
    assert (report.rows, report.dead_letters) == (1, 1)
