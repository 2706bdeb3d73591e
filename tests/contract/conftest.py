"""Fixtures of the contract tests, which run on both planes with real servers."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from request_plane import REQUEST_PLANE, OfRequests

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, Report
from fraiseql_assets.pipeline.rebuild import rebuild_day
from fraiseql_assets.planes import AssetReader, Batching, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

PLANES = {"analytics": AnalyticsPlane, "operational": OperationalPlane}
READERS = {"analytics": AnalyticsReader, "operational": OperationalReader}


def _plane_of_requests(settings: Settings) -> Any:
    return OfRequests(OperationalPlane(settings, REQUESTS))


OPENERS: dict[str, Callable[[Settings], Plane]] = {**PLANES, REQUEST_PLANE: _plane_of_requests}
"""Planes by `plane_name`. With `REQUEST_PLANE`, tests that make events run with requests."""

JOB = Job("run-1", 1, Batching(50, 2**20, 100, 2**20), ahead=4)
"""A run with blocks of a hundred events."""


@pytest.fixture(params=PLANES)
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def open_plane(plane_name: str, settings: Settings) -> Iterator[Callable[..., Plane]]:
    """A function that opens the plane with changed settings. It does not set up anything."""
    opened: list[Plane] = []

    def open_it(**changes: object) -> Plane:
        opened.append(OPENERS[plane_name](settings.model_copy(update=changes)))
        return opened[-1]

    yield open_it
    for plane in opened:
        plane.close()


@pytest.fixture
def plane(open_plane: Callable[..., Plane]) -> Plane:
    """The plane, set up and empty."""
    plane = open_plane()
    plane.setup()
    return plane


@pytest.fixture
def reader(plane: Plane, settings: Settings) -> AssetReader:
    """The reader of the same plane."""
    return READERS[plane.name](settings)


@pytest.fixture
def asset(plane: Plane) -> str:
    """The key of the asset that the plane keeps."""
    return f"{plane.name}/{plane.dataset.name}"


@pytest.fixture
def dataset() -> Dataset:
    """What the log carries."""
    return EVENTS


@pytest.fixture
def log(settings: Settings, dataset: Dataset) -> Iterator[Log]:
    """The log, set up and empty."""
    asyncio.run(setup_streams(settings))
    with Log(settings, name="tests", dataset=dataset) as log:
        yield log


@pytest.fixture
def ingest(log: Log) -> Callable[..., Report]:
    """A function that adds everything in the log, or a range of it, to a plane."""

    def ingest_it(plane: Plane, first: int = 1, last: int | None = None) -> Report:
        place = log.position_from(first)
        assert place is not None
        sequences = SequenceRange(first, last or log.bounds().last)
        return ingest_range(plane, log, sequences, place.day, JOB)

    return ingest_it


@pytest.fixture
def other(plane_name: str, settings: Settings) -> Iterator[Plane]:
    """The other plane, set up and empty."""
    [other] = [PLANES[name](settings) for name in PLANES if name != plane_name]
    other.setup()
    yield other
    other.close()


@pytest.fixture
def rebuild(log: Log, other: Plane) -> Callable[..., Report]:
    """A function that rebuilds a day, by default the day of the log's first message."""

    def rebuild_it(plane: Plane, day: date | None = None) -> Report:
        if day is None:
            place = log.position_from(1)
            assert place is not None
            day = place.day
        return rebuild_day(plane, other, log, day, JOB)

    return rebuild_it
