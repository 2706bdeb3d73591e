"""A server that has lost acknowledged data: the plane is exact in the end.

Elasticsearch itself keeps what it acknowledges. One that is restored from an older snapshot does
not, nor one whose disk lies about what it has written: a fake stands in for these.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest
from lossy_server import LossyServer
from request_messages import publish_requests

from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job
from fraiseql_assets.pipeline.rebuild import rebuild_day
from fraiseql_assets.planes import Batching, Block, PlaneError, Written, committed_ranges
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

ROWS = 250
JOB = Job("run-1", 1, Batching(50, 2**20, 100, 2**20), ahead=4)
ALL = SequenceRange(1, ROWS)


@pytest.fixture(params=[EVENTS, REQUESTS], ids=lambda each: each.name)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return request.param


@pytest.fixture
def plane(settings: Settings, dataset: Dataset) -> Iterator[OperationalPlane]:
    """The plane, set up."""
    plane = OperationalPlane(settings, dataset)
    plane.setup()
    yield plane
    plane.close()


@pytest.fixture
def server(plane: OperationalPlane, settings: Settings) -> Iterator[LossyServer]:
    """The server, after the setup of the plane was made durable."""
    with LossyServer(settings) as server:
        yield server


def committed(plane: OperationalPlane, log: Log) -> list[SequenceRange]:
    return committed_ranges(plane.ledger(log.stream))


@pytest.fixture
def filled(log: Log, dataset: Dataset, settings: Settings) -> Log:
    if dataset is REQUESTS:
        publish_requests(settings, range(1, ROWS + 1))
    else:
        asyncio.run(publish_generated(settings, count=ROWS, shape="observer", seed=1))
    return log


class Interrupted:
    """The plane, whose server fails after it has accepted a block with a given number."""

    def __init__(self, plane: Any, number: int, die: Callable[[], None]) -> None:
        self._plane, self._number, self._die = plane, number, die
        self.name = "operational"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plane, name)

    def write(self, block: Block) -> Written:
        written = self._plane.write(block)
        if block.number == self._number:
            self._die()
        return written

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        yield from map(self.write, blocks)


def until_exact(plane: OperationalPlane, log: Log) -> None:
    """Asks for what is missing as the sensor does, then holds the plane against the log."""
    place = log.position_from(1)
    assert place is not None
    plane.setup()
    ingest_range(plane, log, ALL, place.day, JOB)
    counts = plane.count(place.day)
    assert (counts.rows, counts.distinct_ids) == (ROWS, ROWS)
    entries = plane.ledger(log.stream)
    assert [(entry.range, entry.state, entry.rows) for entry in entries] == [
        (ALL, "committed", ROWS)
    ]


@pytest.mark.parametrize("number", [0, 2])
def test_a_run_does_not_commit_rows_that_the_server_lost(
    plane: OperationalPlane, server: LossyServer, filled: Log, number: int
) -> None:
    place = filled.position_from(1)
    assert place is not None
    dying: Any = Interrupted(plane, number, server.lose)
    with pytest.raises(PlaneError, match="again"):
        ingest_range(dying, filled, ALL, place.day, JOB)
    assert not committed(plane, filled)
    until_exact(plane, filled)


def test_a_lost_range_is_written_again(
    plane: OperationalPlane, server: LossyServer, filled: Log
) -> None:
    place = filled.position_from(1)
    assert place is not None
    ingest_range(plane, filled, ALL, place.day, JOB)
    server.lose()
    assert not committed(plane, filled)
    until_exact(plane, filled)


def test_a_rebuild_does_not_swap_in_rows_that_the_server_lost(
    plane: OperationalPlane, server: LossyServer, filled: Log
) -> None:
    place = filled.position_from(1)
    assert place is not None
    ingest_range(plane, filled, ALL, place.day, JOB)
    server.keep()

    class Dying:
        name = plane.name

        def __getattr__(self, name: str) -> Any:
            return getattr(plane, name)

        def replace(self, day: Any) -> Any:
            return Interrupted(plane.replace(day), 1, server.lose)

    dying: Any = Dying()
    with pytest.raises(PlaneError):
        rebuild_day(dying, plane, filled, place.day, JOB)
    assert plane.count(place.day).rows == ROWS
    rebuild_day(plane, plane, filled, place.day, JOB)
    assert plane.count(place.day).rows == ROWS
