"""Clients of other languages, with their default options."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flights import Service, events_of, fill, serving, set_up, wide_events
from node_packages import run_script

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated

FOLDER = Path(__file__).parents[1] / "grpc_node"
DAY = datetime.now(UTC).date() - timedelta(days=2)
LIMIT = 4 * 2**20
EVENTS = 12_000


@pytest.fixture(scope="module")
def service(module_settings: Settings) -> Iterator[Service]:
    """A service whose assets fill messages of more than 4 MiB unless they are divided."""
    planes = AnalyticsPlane(module_settings), OperationalPlane(module_settings)
    set_up(module_settings, *planes)
    fill(planes[0], module_settings, DAY, wide_events(DAY, 1_000))
    fill(planes[1], module_settings, DAY, events_of(DAY, EVENTS, first=1))
    for plane in planes:
        plane.close()
    asyncio.run(publish_generated(module_settings, count=EVENTS, shape="arrow"))
    with serving(module_settings) as service:
        yield service


@pytest.mark.parametrize("asset", ["stream/events", "analytics/events", "operational/events"])
def test_node_reads_an_asset(service: Service, asset: str) -> None:
    address = urlsplit(service.settings.flight_url).netloc
    read = json.loads(run_script(FOLDER, "read.mjs", address, asset))
    assert read["error"] is None
    # The schema is a message too.
    assert read["messages"] > 2
    assert LIMIT / 4 < read["largest"] < LIMIT
