"""Faults of a real search server: closed indices, shards that do not start, small limits.

All tests share the fixtures that break an index, so the file is longer than others.
"""

import asyncio
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from elasticsearch import Elasticsearch
from event_tables import DAY, MORNING, STREAM, block, entry, event
from pydantic import SecretStr
from request_plane import OfRequests
from stacks import own_folder, wait_until
from starlette.applications import Starlette

from flight_service.limits import StreamLimits
from flight_service.search import search_route
from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.operational.availability import DayUnavailable
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.operational.search.engine import Search
from fraiseql_assets.operational.search.request import Counts, SearchRequest
from fraiseql_assets.operational.search.unavailable_days import NotAllSearched
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.settings import Settings
from local_stack import servers
from local_stack.ports import distinct_free_ports
from local_stack.programs import start

EVENTS_ASSET = "operational/events"
TOMORROW = DAY + timedelta(days=1)


BOTH = pytest.mark.parametrize(
    "dataset", [EVENTS, REQUESTS], ids=["events", "requests"], indirect=True
)
"""Runs a test with a plane of events and with one of requests."""


def of_both(name: str, values: Iterable[str], of_requests: str) -> pytest.MarkDecorator:
    """Runs a test with every value and a plane of events, and with one of the values and a plane
    of requests: what differs between the two is the names of their indices."""
    cases = [*((EVENTS, value) for value in values), (REQUESTS, of_requests)]
    ids = [f"{dataset.name}-{value}" for dataset, value in cases]
    return pytest.mark.parametrize(("dataset", name), cases, ids=ids, indirect=["dataset"])


@pytest.fixture
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return getattr(request, "param", EVENTS)


@pytest.fixture
def plane(settings: Settings, dataset: Dataset) -> Iterator[OperationalPlane]:
    """The plane, set up, with two days of three rows each."""
    with closing(OperationalPlane(settings, dataset)) as plane:
        plane.setup()
        filled: Any = OfRequests(plane) if dataset is REQUESTS else plane
        fill(filled)
        yield filled


@pytest.fixture
def asset(dataset: Dataset) -> str:
    return f"operational/{dataset.name}"


@pytest.fixture
def server(settings: Settings) -> Iterator[Elasticsearch]:
    """The server itself."""
    with connect(settings, timeout=30) as client:
        yield client


def fill(plane: OperationalPlane) -> None:
    for first, day in ((1, DAY), (4, TOMORROW)):
        moment = MORNING + (day - DAY)
        events = [event(n, stream_time=moment) for n in range(first, first + 3)]
        plane.record(entry(first, first + 2, day=day))
        plane.write(block(events, day=day))
        committed = entry(first, first + 2, day=day, state="committed", rows=3, messages=3)
        plane.record(committed)


def index_of(settings: Settings, day: Any, dataset: Dataset = EVENTS) -> str:
    return f"{settings.index_prefix}-{dataset.name}-{day:%Y.%m.%d}-000001"


def read(reader: OperationalReader, *days: Any, asset: str = EVENTS_ASSET) -> list[int]:
    batches = reader.batches(asset, days or None)
    return [n for batch in batches for n in batch["stream_seq"].to_pylist()]


@pytest.fixture
def closed(
    plane: OperationalPlane, server: Elasticsearch, settings: Settings, dataset: Dataset
) -> str:
    """The index of the first day, which an operator has closed."""
    index = index_of(settings, DAY, dataset)
    server.indices.close(index=index)
    return index


@pytest.fixture
def red(
    plane: OperationalPlane, server: Elasticsearch, settings: Settings, dataset: Dataset
) -> str:
    """The index of the first day, whose shard cannot be started."""
    index = index_of(settings, DAY, dataset)
    server.indices.delete(index=index)
    alias = f"{settings.index_prefix}-{dataset.name}"
    server.indices.create(
        index=index,
        settings={"index.routing.allocation.require._name": "nobody"},
        aliases={alias: {}, f"{alias}-{DAY:%Y.%m.%d}": {}},
        wait_for_active_shards=0,
    )
    return index


ASKS: dict[str, Callable[[OperationalPlane], object]] = {
    "count": lambda plane: plane.count(DAY),
    "events": lambda plane: list(plane.events(DAY, 9)),
    "write": lambda plane: plane.write(block([event(9)])),
    "record": lambda plane: plane.record(entry(1, 3, state="committed", rows=3)),
}


@of_both("ask", ASKS, "write")
class TestADayThatCannotBeUsed:
    """A closed or red index is reported at once, by name."""

    def test_a_closed_index_is_reported_with_its_name(
        self, plane: OperationalPlane, closed: str, ask: str
    ) -> None:
        with pytest.raises(DayUnavailable, match=rf"{closed} is closed.*POST /{closed}/_open"):
            ASKS[ask](plane)

    def test_a_red_index_is_reported_with_its_name(
        self, plane: OperationalPlane, red: str, ask: str
    ) -> None:
        with pytest.raises(DayUnavailable, match=rf"not started the index {red}.*explain"):
            ASKS[ask](plane)


@BOTH
def test_a_closed_day_leaves_the_others_readable(
    plane: OperationalPlane, closed: str, settings: Settings, asset: str
) -> None:
    reader = OperationalReader(settings)
    assert [stats.day for stats in reader.partitions(asset)] == [TOMORROW]
    assert read(reader, asset=asset) == read(reader, TOMORROW, asset=asset) == [4, 5, 6]
    assert plane.count(TOMORROW).rows == 3
    with pytest.raises(DayUnavailable, match="is closed"):
        read(reader, DAY, asset=asset)


def test_a_closed_day_is_readable_after_it_is_opened(
    plane: OperationalPlane, server: Elasticsearch, closed: str, settings: Settings
) -> None:
    server.indices.open(index=closed)
    assert plane.write(block([event(1), event(9)])).rows == 2
    assert read(OperationalReader(settings), DAY) == [1, 2, 3, 9]


@BOTH
def test_a_red_day_is_listed_with_the_counts_of_the_ledger(
    plane: OperationalPlane, red: str, settings: Settings, asset: str
) -> None:
    reader = OperationalReader(settings)
    found = [(stats.day, stats.rows) for stats in reader.partitions(asset)]
    assert found == [(DAY, 3), (TOMORROW, 3)]


@BOTH
def test_a_red_day_is_never_read_as_empty(
    plane: OperationalPlane, red: str, settings: Settings, asset: str
) -> None:
    reader = OperationalReader(settings)
    assert read(reader, TOMORROW, asset=asset) == [4, 5, 6]
    with pytest.raises(DayUnavailable, match=red):
        read(reader, asset=asset)


SEARCHES: dict[str, Callable[[Search, SearchRequest], pa.RecordBatch]] = {
    "hits": lambda search, request: search.hits(request, tenant=None),
    "counts": lambda search, request: search.counts(request, Counts.type, tenant=None),
}


@of_both("ask", SEARCHES, "hits")
def test_a_search_over_a_red_day_names_it(
    plane: OperationalPlane, red: str, settings: Settings, dataset: Dataset, ask: str
) -> None:
    with pytest.raises(PlaneUnavailable, match=rf"{dataset.name} of {DAY}\..*explain.*partial"):
        SEARCHES[ask](Search(settings), SearchRequest())


@of_both("ask", SEARCHES, "counts")
def test_a_partial_search_returns_the_other_days_and_names_the_red_one(
    plane: OperationalPlane, red: str, settings: Settings, dataset: Dataset, ask: str
) -> None:
    found = SEARCHES[ask](Search(settings), SearchRequest(partial=True))
    assert found["missing"].to_pylist() == [[f"{dataset.name} of {DAY}"]] * found.num_rows
    if ask == "counts":
        assert sum(found["count"].to_pylist()) == 3
    else:
        assert sorted(found["stream_seq"].to_pylist()) == [4, 5, 6]


@of_both("ask", SEARCHES, "counts")
def test_a_search_over_a_closed_day_names_it_and_what_opens_it(
    plane: OperationalPlane, closed: str, settings: Settings, dataset: Dataset, ask: str
) -> None:
    with pytest.raises(
        PlaneUnavailable, match=rf"{dataset.name} of {DAY} \(closed\).*_open.*partial"
    ):
        SEARCHES[ask](Search(settings), SearchRequest())


@of_both("ask", SEARCHES, "hits")
def test_a_partial_search_answers_from_the_other_days_and_names_the_closed_one(
    plane: OperationalPlane, closed: str, settings: Settings, dataset: Dataset, ask: str
) -> None:
    found = SEARCHES[ask](Search(settings), SearchRequest(partial=True))
    assert found["missing"].to_pylist() == [[f"{dataset.name} of {DAY} (closed)"]] * found.num_rows
    assert found.num_rows > 0


def test_a_closed_day_before_the_times_that_are_searched_is_not_missed(
    plane: OperationalPlane, closed: str, settings: Settings
) -> None:
    since = datetime.combine(DAY, time.min, UTC) + timedelta(days=2)
    assert Search(settings).hits(SearchRequest(since=since), tenant=None).num_rows == 0


def test_a_search_of_closed_days_alone_is_an_error(
    plane: OperationalPlane, server: Elasticsearch, settings: Settings
) -> None:
    for day in (DAY, TOMORROW):
        server.indices.close(index=index_of(settings, day))
    with pytest.raises(NotAllSearched, match=f"events of {DAY} .*, events of {TOMORROW} "):
        Search(settings).hits(SearchRequest(partial=True), tenant=None)


@pytest.mark.parametrize("ask", SEARCHES)
def test_a_partial_search_without_hits_is_an_error(
    plane: OperationalPlane, red: str, settings: Settings, ask: str
) -> None:
    request = SearchRequest(query="nowhere", partial=True)
    with pytest.raises(NotAllSearched, match=f"Nothing is found .* events of {DAY}"):
        SEARCHES[ask](Search(settings), request)


def test_pages_of_a_partial_search_are_consecutive(
    plane: OperationalPlane, server: Elasticsearch, red: str, settings: Settings
) -> None:
    search, request = Search(settings), SearchRequest(partial=True, limit=1, oldest_first=True)
    pages = [page["stream_seq"].to_pylist() for page in search.pages(request, tenant=None)]
    assert pages == [[4], [5], [6]]
    cursor = search.hits(request, tenant=None)["cursor"][-1].as_py()
    server.indices.delete(index=red)
    whole = search.hits(replace(request, cursor=cursor, partial=False), tenant=None)
    assert (whole["stream_seq"].to_pylist(), whole["missing"].to_pylist()) == ([5], [None])


@pytest.mark.parametrize("ask", SEARCHES)
def test_a_complete_search_has_no_warning(
    plane: OperationalPlane, settings: Settings, ask: str
) -> None:
    found = SEARCHES[ask](Search(settings), SearchRequest(partial=True))
    assert found["missing"].null_count == found.num_rows > 0


def test_http_announces_a_partial_result_in_a_header(
    plane: OperationalPlane, red: str, settings: Settings
) -> None:
    route = search_route(Search(settings), settings, StreamLimits(settings))

    def get(**parameters: str) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(Starlette(routes=[route]))
            async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                return await client.get("/search", params=parameters)

        return asyncio.run(send())

    hits = get()
    assert hits.text.startswith('{"warning":"Not searched: events of ')
    assert (hits.json()["missing"], len(hits.json()["hits"])) == ([f"events of {DAY}"], 3)
    counts = get(count="type").json()
    assert (counts["missing"], counts["counts"][0]["count"]) == ([f"events of {DAY}"], 3)
    for refused in ({"partial": "false"}, {"format": "arrow"}, {"q": "nowhere"}):
        answer = get(**refused)
        assert answer.status_code == 503
        assert f"events of {DAY}" in answer.json()["errors"][0]["message"]


@of_both("state", ["closed", "red"], "red")
def test_an_unavailable_day_can_be_replaced(
    plane: OperationalPlane,
    settings: Settings,
    asset: str,
    state: str,
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue(state)
    replacement = plane.replace(DAY)
    replacement.write(block([event(number) for number in range(1, 4)]))
    replacement.swap(entry(1, 3, state="committed", kind="partition", rows=3, messages=3))
    assert plane.count(DAY).rows == 3
    assert read(OperationalReader(settings), asset=asset) == [1, 2, 3, 4, 5, 6]


SMALL_HEAP = "128m"


@pytest.fixture(scope="module")
def small_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server whose heap is so small that it takes no more than some megabytes at once."""
    with pytest.MonkeyPatch.context() as patch, own_folder() as folder:
        patch.setenv("FRAISEQL_ELASTICSEARCH_HEAP", SMALL_HEAP)
        with Restartable(request, folder) as server:
            yield server.url


def test_a_request_above_the_server_limit_is_sent_in_halves(
    small_server: str, settings: Settings
) -> None:
    small = settings.model_copy(
        update={"elasticsearch_url": SecretStr(small_server), "bulk_bytes": 32 * 2**20}
    )
    wide = '{"note":"' + "w" * 30_000 + '"}'
    events = [event(number, data=wide) for number in range(1, 401)]
    with closing(OperationalPlane(small)) as plane:
        plane.setup()
        assert plane.write(block(events)).rows == len(events)
        assert plane.count(DAY).rows == len(events)


def test_an_event_above_the_server_limit_names_the_setting(
    small_server: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fraiseql_assets.operational.writer.FIRST_WAIT_SECONDS", 0.01)
    small = settings.model_copy(update={"elasticsearch_url": SecretStr(small_server)})
    huge = '{"note":"' + "w " * (8 * 2**20) + '"}'
    with closing(OperationalPlane(small)) as plane:
        plane.setup()
        with pytest.raises(PlaneUnavailable, match=r"bytes now.*FRAISEQL_BULK_BYTES.*tenth"):
            plane.write(block([event(1, data=huge)]))


class Restartable:
    """A separate server that the test stops and starts again on the same data."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        [port] = distinct_free_ports(1)
        describe = getattr(servers, request.config.getoption("--search"))
        self._program, self._log = describe(folder / "data", port), folder / "log"
        [self.url] = self._program.addresses.values()

    def __enter__(self) -> "Restartable":
        self.start()
        return self

    def start(self) -> None:
        self._process: subprocess.Popen[bytes] = start(self._program, self._log)
        wait_until(lambda: self._program.is_ready() or self._process.poll() is not None, self._log)
        assert self._process.poll() is None, self._log.read_text()

    def end(self) -> int:
        self._process.send_signal(self._program.ends_by)
        return self._process.wait(30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.kill()


def test_a_plane_is_complete_after_its_server_restarts(
    settings: Settings, request: pytest.FixtureRequest
) -> None:
    with own_folder() as folder, Restartable(request, folder) as server:
        own = settings.model_copy(update={"elasticsearch_url": SecretStr(server.url)})
        with closing(OperationalPlane(own)) as plane:
            plane.setup()
            fill(plane)
            reader = OperationalReader(own)
            before = reader.partitions(EVENTS_ASSET), plane.ledger(STREAM), read(reader)
            assert server.end() == 0
            server.start()
            after = reader.partitions(EVENTS_ASSET), plane.ledger(STREAM), read(reader)
            assert _without_bytes(after) == _without_bytes(before)
            server.kill()
            server.start()
            after = reader.partitions(EVENTS_ASSET), plane.ledger(STREAM), read(reader)
            assert _without_bytes(after) == _without_bytes(before)


def _without_bytes(found: tuple[list[Any], list[Any], list[int]]) -> tuple[Any, ...]:
    partitions, *rest = found
    return [(stats.day, stats.rows, stats.materialised_at) for stats in partitions], *rest
