"""Erased events are gone from both planes and aggregates, and no rebuild restores them."""

import asyncio
from collections.abc import Callable
from datetime import date

import pytest
from typer.testing import CliRunner

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.cli.commands import erase as command
from fraiseql_assets.cli.main import app
from fraiseql_assets.pipeline.erase import erase
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.pipeline.verify import verify_day
from fraiseql_assets.planes import Plane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

EVENTS = 60
Materialise = Callable[..., Report]


@pytest.fixture
def day(plane: Plane, other: Plane, log: Log, ingest: Materialise, settings: Settings) -> date:
    """The day of the log, which both planes hold."""
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=1))
    for each in (plane, other):
        ingest(each)
    position = log.position_from(1)
    assert position is not None
    return position.day


def events(plane: Plane, day: date) -> list[dict[str, str]]:
    return [row for batch in plane.events(day, 2**62) for row in batch.to_pylist()]


def test_an_erased_event_stays_erased_after_a_rebuild(
    plane: Plane, other: Plane, log: Log, day: date, rebuild: Materialise, settings: Settings
) -> None:
    erased = events(plane, day)[20]["event_id"]
    removed = {each.plane: each.rows for each in erase(settings, event_id=erased)}
    assert removed == {plane.name: 1, other.name: 1}
    for each in (plane, other):
        assert erased not in [row["event_id"] for row in events(each, day)]
        assert verify_day(each, log, day).is_complete
    assert rebuild(plane, day).rows == EVENTS - 1
    assert list(erase(settings, event_id=erased)) == []


def test_all_events_of_an_erased_entity_are_removed(
    plane: Plane, day: date, settings: Settings
) -> None:
    held = events(plane, day)
    entity = (held[0]["entity_type"], held[0]["entity_id"])
    others = [row["event_id"] for row in held if (row["entity_type"], row["entity_id"]) != entity]
    list(erase(settings, entity_type=entity[0], entity_id=entity[1]))
    assert [row["event_id"] for row in events(plane, day)] == others
    if isinstance(plane, AnalyticsPlane):
        assert set(plane.compare_aggregates(day).values()) == {len(others)}


def test_an_event_erased_before_ingestion_is_never_written(
    plane: Plane, day: date, ingest: Materialise, settings: Settings
) -> None:
    erased = events(plane, day)[0]
    asyncio.run(publish_generated(settings, count=5, shape="observer", seed=2))
    list(erase(settings, entity_type=erased["entity_type"], entity_id=erased["entity_id"]))
    ingest(plane, EVENTS + 1)
    entities = {(row["entity_type"], row["entity_id"]) for row in events(plane, day)}
    assert (erased["entity_type"], erased["entity_id"]) not in entities


def test_the_command_confirms_and_reports_what_it_removed(
    plane: Plane, other: Plane, day: date, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_settings", lambda: settings)
    erased = events(plane, day)[20]["event_id"]
    refused = CliRunner().invoke(app, ["erase", "--event-id", erased], input="n\n")
    assert refused.exit_code == 1
    assert len(events(plane, day)) == EVENTS
    done = CliRunner().invoke(app, ["erase", "--event-id", erased], input="y\n")
    assert done.exit_code == 0, done.output
    for each in (plane, other):
        assert f"{each.name} {day}: 1 rows erased" in done.output
        assert erased not in [row["event_id"] for row in events(each, day)]
    again = CliRunner().invoke(app, ["erase", "--event-id", erased, "--yes"])
    assert again.exit_code == 0
    assert "no plane held it" in again.output


def test_the_command_erases_an_entity(
    plane: Plane, day: date, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "read_settings", lambda: settings)
    entity = (events(plane, day)[0]["entity_type"], events(plane, day)[0]["entity_id"])
    done = CliRunner().invoke(app, ["erase", "--entity", *entity, "--yes"])
    assert done.exit_code == 0, done.output
    held = [(row["entity_type"], row["entity_id"]) for row in events(plane, day)]
    assert entity not in held


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--event-id", ""],
        ["--event-id", "a", "--entity", "Order", "1"],
        ["--request-id", "r", "--requests-of", "ada"],
    ],
)
def test_the_command_requires_exactly_one_target(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["erase", *arguments, "--yes"])
    assert done.exit_code == 2
    assert "--event-id" in done.output
