"""Two streams with a database and an index prefix each: both exact, and read together."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date

import pytest
import requests
from conftest import JOB
from pydantic import SecretStr

from fraiseql_assets.analytics.client import connect, database_of
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import setup_all
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from tests.separate_names import drop_indices, drop_streams

EVENTS = {"first": 120, "second": 80}
TOTAL = sum(EVENTS.values())
PLANES = {"analytics": AnalyticsPlane, "operational": OperationalPlane}


@pytest.fixture
def streams(settings: Settings) -> Iterator[dict[str, Settings]]:
    """The settings of two streams of the same servers."""
    url = settings.clickhouse_url.get_secret_value()
    prefix = f"{settings.subject_prefix}_second"
    second = settings.model_copy(
        update={
            "clickhouse_url": SecretStr(f"{url}_second"),
            "index_prefix": f"{settings.index_prefix}-second",
            "stream": f"{settings.stream}_second",
            "request_stream": f"{settings.request_stream}_second",
            "request_subject_prefix": f"{settings.request_subject_prefix}_second",
            "dead_letter_stream": f"{settings.dead_letter_stream}_second",
            "subject_prefix": prefix,
            "subjects": [f"{prefix}.>"],
        }
    )
    for each in (settings, second):
        setup_all(each)
    yield {"first": settings, "second": second}
    with closing(connect(settings, timeout=30, database="default")) as client:
        client.command(f"DROP DATABASE {database_of(second)} SYNC")
    drop_indices(settings.elasticsearch_url.get_secret_value(), second.index_prefix)
    asyncio.run(drop_streams(second))


def fill(name: str, settings: Settings) -> tuple[date, dict[str, int]]:
    """Publishes and ingests the events of a stream. Returns their day and each plane's rows."""
    asyncio.run(publish_generated(settings, count=EVENTS[name], shape="observer", seed=len(name)))
    with Log(settings, name="tests") as log:
        place = log.position_from(1)
        assert place is not None
        rows = {}
        for plane_name, plane_of in PLANES.items():
            with closing(plane_of(settings)) as plane:
                ingest_range(plane, log, SequenceRange(1, log.bounds().last), place.day, JOB)
                rows[plane_name] = plane.count(place.day).rows
    return place.day, rows


def test_each_stream_is_exact_and_both_are_read_together(streams: dict[str, Settings]) -> None:
    with ThreadPoolExecutor() as pool:
        filled = dict(zip(streams, pool.map(fill, streams, streams.values()), strict=True))
    assert {name: rows for name, (_, rows) in filled.items()} == {
        name: dict.fromkeys(PLANES, count) for name, count in EVENTS.items()
    }
    first = streams["first"]
    with closing(connect(first, timeout=30)) as client:
        name = database_of(first)
        client.command(
            f"CREATE TABLE all_events AS {name}.fraiseql_events "
            f"ENGINE = Merge(REGEXP('^{name}(_second)?$'), '^fraiseql_events$')"
        )
        found = client.query("SELECT count(), uniqExact(event_id) FROM all_events")
    assert found.result_rows[0] == (TOTAL, TOTAL)
    aliases = ",".join(f"{each.index_prefix}-events" for each in streams.values())
    url = first.elasticsearch_url.get_secret_value()
    assert requests.get(f"{url}/{aliases}/_count", timeout=30).json()["count"] == TOTAL
