"""A stream that was recreated assigns sequences again that the ledger holds as done."""

import asyncio
from collections.abc import Callable
from datetime import date

import dagster as dg
import pytest

from fraiseql_assets.catalogue import ANALYTICS_EVENTS, OPERATIONAL_EVENTS
from fraiseql_assets.cli.status import collect_status
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import Plane
from fraiseql_assets.resources import RESOURCES
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import setup_all
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish_generated
from fraiseql_assets.stream.setup import setup_streams
from sensors.ingestion import events_sensor

BEFORE, AFTER = 200, 50
ASSETS = {asset.plane: asset for asset in (ANALYTICS_EVENTS, OPERATIONAL_EVENTS)}
SAID = f"holds {AFTER + 1}-{BEFORE} of"


async def delete_stream(settings: Settings) -> None:
    async with connect(settings, name="tests") as client:
        await client.jetstream().delete_stream(settings.stream)


@pytest.fixture
def recreated_log(plane: Plane, settings: Settings, ingest: Callable[..., Report]) -> Plane:
    """A plane with more sequences than the stream has assigned since it was recreated."""

    asyncio.run(publish_generated(settings, count=BEFORE, shape="observer", seed=1))
    ingest(plane)
    asyncio.run(delete_stream(settings))
    asyncio.run(setup_streams(settings))
    asyncio.run(publish_generated(settings, count=AFTER, shape="observer", seed=2))
    return plane


def test_status_reports_ranges_of_another_log(recreated_log: Plane, settings: Settings) -> None:
    status = collect_status(settings)
    [error] = [found.error for found in status.planes if found.plane == recreated_log.name]
    assert error
    assert SAID in error
    assert not status.healthy


def test_the_sensor_reports_ranges_of_another_log_and_requests_no_run(
    recreated_log: Plane, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraiseql_assets.resources.get_settings", lambda: settings)
    sensor = events_sensor(
        ASSETS[recreated_log.name],
        "op",
        "job",
        lambda _: recreated_log,
        first_day=date(2026, 1, 1),
        status=dg.DefaultSensorStatus.RUNNING,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        found = sensor(dg.build_sensor_context(instance, resources=RESOURCES))
    assert isinstance(found, dg.SkipReason)
    assert SAID in (found.skip_message or "")


def test_setup_recreates_a_lost_log_after_the_ranges_of_the_planes(
    plane: Plane, settings: Settings, ingest: Callable[..., Report]
) -> None:
    asyncio.run(publish_generated(settings, count=BEFORE, shape="observer", seed=1))
    ingest(plane)
    asyncio.run(delete_stream(settings))
    first = BEFORE + 1
    assert any(f"created from sequence {first} on" in line for line in setup_all(settings))
    asyncio.run(publish_generated(settings, count=AFTER, shape="observer", seed=2))
    assert ingest(plane, first).rows == AFTER
    [day] = {entry.day for entry in plane.ledger(settings.stream)}
    assert plane.count(day).rows == BEFORE + AFTER
