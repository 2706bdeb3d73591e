"""A server that is killed and has lost what it had acknowledged: the plane ends exact all the same.

The embedded server writes to disk a fraction of a second after it answers, so a SIGKILL right after
an answer loses documents, indices and the end of the ledger with them.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job
from fraiseql_assets.pipeline.rebuild import rebuild_day
from fraiseql_assets.planes import (
    Batching,
    Block,
    PlaneError,
    PlaneNotSetUp,
    Written,
    committed_ranges,
)
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from local_stack import servers
from local_stack.ports import distinct_free_ports
from local_stack.programs import start

EVENTS = 250
JOB = Job("run-1", 1, Batching(50, 2**20, 100, 2**20), ahead=4)
ALL = SequenceRange(1, EVENTS)


class Server:
    """An embedded Elasticsearch of its own, to be killed."""

    def __init__(self, folder: Path) -> None:
        [port] = distinct_free_ports(1)
        self._folder = folder
        self._program = servers.elasticsearch(folder / "data", port)
        [self.url] = self._program.addresses.values()
        self._start()

    def _start(self) -> None:
        self._process: subprocess.Popen[Any] = start(self._program, self._folder / "log")
        while not self._program.is_ready():
            assert self._process.poll() is None
            time.sleep(0.02)

    def end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def lose(self) -> None:
        """Kills the server, which loses what it has just acknowledged, and starts it again."""
        self.end()
        self._start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.end()


@pytest.fixture
def plane(server: Server, settings: Settings) -> Iterator[OperationalPlane]:
    """The plane on the server of its own, set up and that kept."""
    plane = OperationalPlane(
        settings.model_copy(update={"elasticsearch_url": SecretStr(server.url)})
    )
    plane.setup()
    until_kept(plane, server)
    yield plane
    plane.close()


def until_kept(plane: OperationalPlane, server: Server, *again: Callable[[], object]) -> None:
    """Returns when what the plane holds outlives its server; until then it is made again."""
    before = ranges_or_none(plane)
    for number in count():
        # It saves about once a second, counted from its start.
        time.sleep(1.2 * 1.3**number)
        server.lose()
        if ranges_or_none(plane) == before:
            return
        for make in (plane.setup, *again):
            make()


def ranges_or_none(plane: OperationalPlane) -> list[SequenceRange] | None:
    """What the ledger holds as committed, None when there is no ledger."""
    try:
        return committed_ranges(plane.ledger(plane._settings.stream))
    except PlaneNotSetUp:
        return None


@pytest.fixture
def filled(log: Log, settings: Settings) -> Log:
    asyncio.run(publish_generated(settings, count=EVENTS, shape="observer", seed=1))
    return log


class Interrupted:
    """The plane, whose server dies as soon as it has taken the block of a number."""

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


def until_exact(plane: OperationalPlane, log: Log) -> None:
    """Asks for what is missing as the sensor does, then holds the plane against the log."""
    place = log.position_from(1)
    assert place is not None
    plane.setup()
    ingest_range(plane, log, ALL, place.day, JOB)
    counts = plane.count(place.day)
    assert (counts.rows, counts.distinct_ids) == (EVENTS, EVENTS)
    entries = plane.ledger(log.stream)
    assert [(entry.range, entry.state, entry.rows) for entry in entries] == [
        (ALL, "committed", EVENTS)
    ]


@pytest.mark.parametrize("number", [0, 2])
def test_a_run_that_goes_on_after_the_loss_does_not_commit_what_is_not_there(
    plane: OperationalPlane, server: Server, filled: Log, number: int
) -> None:
    place = filled.position_from(1)
    assert place is not None
    dying: Any = Interrupted(plane, number, server.lose)
    with pytest.raises(PlaneError, match="again"):
        ingest_range(dying, filled, ALL, place.day, JOB)
    assert not ranges_or_none(plane)
    until_exact(plane, filled)


@pytest.mark.parametrize("seconds", [0, 0.5, 1])
def test_what_the_ledger_says_is_committed_was_not_lost(
    plane: OperationalPlane, server: Server, filled: Log, seconds: float
) -> None:
    place = filled.position_from(1)
    assert place is not None
    ingest_range(plane, filled, ALL, place.day, JOB)
    time.sleep(seconds)
    server.lose()
    assert not ranges_or_none(plane) or plane.count(place.day).rows == EVENTS
    until_exact(plane, filled)


def test_a_rebuild_that_goes_on_after_the_loss_does_not_take_the_days_place(
    plane: OperationalPlane, server: Server, filled: Log
) -> None:
    place = filled.position_from(1)
    assert place is not None
    ingest = partial(ingest_range, plane, filled, ALL, place.day, JOB)
    ingest()
    until_kept(plane, server, ingest)

    class Dying:
        name = plane.name

        def __getattr__(self, name: str) -> Any:
            return getattr(plane, name)

        def replace(self, day: Any, run_id: str) -> Any:
            return Interrupted(plane.replace(day, run_id), 1, server.lose)

    dying: Any = Dying()
    with pytest.raises(PlaneError):
        rebuild_day(dying, plane, filled, place.day, JOB)
    assert plane.count(place.day).rows == EVENTS
    rebuild_day(plane, plane, filled, place.day, JOB)
    assert plane.count(place.day).rows == EVENTS
