"""A client that hangs up leaves no server working: searches, and rows that are not there yet."""

import json
import logging
import random
import select
import socket
import string
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pyarrow as pa
import pytest
import requests
from flights import SECONDS, Service, events_of, eventually, fill, running_queries, serving, set_up
from pyarrow import flight
from pydantic import SecretStr
from separate_names import separate_names

from flight_service.http_streams import THREADS
from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from tests.tokens import signed

DAY = datetime.now(UTC).date() - timedelta(days=2)
ROWS, WORDS = 200, 2_000
CLIENTS = 100
SECRET = "a secret of at least thirty-two characters"
NEVER_THERE = "nowhere"
SLOW = f"{NEVER_THERE} OR " + " OR ".join(
    f"*{one}*{other}*{one}*9" for one in string.ascii_lowercase for other in "0123456789"
)
"""A query whose every word is compared with every word of the index."""


def wordy(count: int) -> pa.Table:
    """Events of many different words."""
    made, events = random.Random(1), events_of(DAY, count, first=1)
    texts = [" ".join(f"{made.getrandbits(40):x}" for _ in range(WORDS)) for _ in range(count)]
    place = events.column_names.index("data")
    data = pa.array([json.dumps({"text": text}) for text in texts])
    return events.set_column(place, EVENT_SCHEMA.field("data"), data)


@pytest.fixture(scope="module")
def settings(nats_url: str, clickhouse_url: str, elasticsearch_url: str) -> Iterator[Settings]:
    urls = {
        "nats_url": nats_url,
        "clickhouse_url": clickhouse_url,
        "elasticsearch_url": elasticsearch_url,
    }
    with separate_names(**urls) as settings:
        planes = AnalyticsPlane(settings), OperationalPlane(settings)
        set_up(settings, *planes)
        for plane in planes:
            fill(plane, settings, DAY, wordy(ROWS))
            plane.close()
        yield settings


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Service]:
    with serving(settings) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(settings: Settings) -> Iterator[Service]:
    """The same service for principals, each of whom may read one result at a time."""
    with serving(settings, jwt_secret=SecretStr(SECRET), principal_streams=1) as service:
        yield service


@pytest.fixture(scope="module")
def endless(settings: Settings) -> None:
    """Makes the table of events one whose first row never comes."""
    client = connect(settings, timeout=SECONDS)
    client.command("RENAME TABLE fraiseql_events TO all_events")
    client.command(
        "CREATE VIEW fraiseql_events AS SELECT events.* FROM numbers(1000000000000000) AS numbers "
        "INNER JOIN all_events AS events ON number = stream_seq + 1000000000000000"
    )
    client.close()


def from_search_engine(settings: Settings, path: str) -> dict[str, Any]:
    url = settings.elasticsearch_url.get_secret_value()
    answer = requests.get(f"{url}/{path}", timeout=SECONDS)
    answer.raise_for_status()
    return answer.json()


def running_searches(settings: Settings) -> int:
    """The searches that Elasticsearch works on for these tests, and their phases."""
    listed = from_search_engine(settings, "_tasks?actions=*search*&detailed")
    tasks = [task for node in listed["nodes"].values() for task in node["tasks"].values()]
    own = {
        name
        for name, task in ((f"{task['node']}:{task['id']}", task) for task in tasks)
        if NEVER_THERE in task["description"] or settings.index_prefix in task["description"]
    }
    return sum(
        f"{task['node']}:{task['id']}" in own or task.get("parent_task_id") in own for task in tasks
    )


def open_contexts(settings: Settings) -> int:
    """How many points in time and other contexts of searches Elasticsearch holds."""
    found = from_search_engine(settings, f"{settings.index_prefix}-*/_stats/search")
    return found["_all"]["total"]["search"]["open_contexts"]


def asked(
    service: Service,
    path: str,
    token: str | None = None,
    *,
    request_id: str = "unnamed",
    **parameters: Any,
) -> socket.socket:
    """A connection over which a request was sent whose answer nobody has read."""
    address = urlsplit(service.http_url)
    connection = socket.create_connection((address.hostname, address.port), SECONDS)
    target = f"{path}?{urlencode(parameters)}"
    lines = [f"GET {target} HTTP/1.1", "host: localhost", f"x-request-id: {request_id}"]
    if token is not None:
        lines.append(f"authorization: Bearer {token}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


@pytest.mark.parametrize("parameters", [{}, {"count": "type"}], ids=["hits", "counts"])
def test_a_search_over_http_ends_when_its_client_hangs_up(
    service: Service, settings: Settings, parameters: dict[str, str]
) -> None:
    before = open_contexts(settings)
    with asked(service, "/search", q=SLOW, **parameters):
        assert eventually(lambda: running_searches(settings) > 0)
    assert eventually(lambda: running_searches(settings) == 0)
    assert eventually(lambda: open_contexts(settings) == before)


def test_a_search_over_flight_ends_when_its_stream_is_cancelled(
    service: Service, settings: Settings
) -> None:
    before = open_contexts(settings)
    ticket = json.dumps({"type": "Search", "query": SLOW}).encode()
    reader = service.client.do_get(flight.Ticket(ticket))
    assert eventually(lambda: running_searches(settings) > 0)
    reader.cancel()
    assert eventually(lambda: running_searches(settings) == 0)
    assert eventually(lambda: open_contexts(settings) == before)


def test_searches_whose_clients_hung_up_leave_their_threads_to_others(
    service: Service, settings: Settings
) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS):
            stack.enter_context(asked(service, "/search", q=SLOW))
        assert eventually(lambda: running_searches(settings) > 0)
    found = requests.get(f"{service.http_url}/search", params={"limit": 1}, timeout=SECONDS)
    assert (found.status_code, len(found.json()["hits"])) == (200, 1)
    assert eventually(lambda: running_searches(settings) == 0)


def found_by(service: Service, token: str) -> int:
    """The status of a search of a principal."""
    headers = {"authorization": f"Bearer {token}"}
    parameters = {"limit": 1}
    url = f"{service.http_url}/search"
    return requests.get(url, parameters, headers=headers, timeout=SECONDS).status_code


def all_places_are_taken(service: Service, token: str) -> bool:
    """Whether the requests that were sent before have all places of a principal."""
    # They have begun when a later request of another principal has ended. A request of their own
    # would take a place from them.
    assert found_by(service, signed(SECRET, sub="another")) == 200
    return found_by(service, token) == 503


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize(
    ("path", "parameters"),
    [("/search", {"q": SLOW}), ("/query", {"type": "ObserverEvents"})],
    ids=["search", "rows"],
)
def test_the_place_of_a_stream_is_free_when_its_client_hangs_up(
    guarded: Service, path: str, parameters: dict[str, str]
) -> None:
    token = signed(SECRET, sub=f"of the place of {path}")
    with asked(guarded, path, token, **parameters):
        assert all_places_are_taken(guarded, token)
    assert eventually(lambda: found_by(guarded, token) == 200)


@pytest.mark.usefixtures("endless")
def test_the_line_of_a_request_whose_client_hung_up_says_so(
    service: Service, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flight_service.calls")

    def lines() -> list[tuple[str, str]]:
        # The line of an earlier test's request can still come.
        records = (vars(record).get("fields") or {} for record in caplog.records)
        ours = (one for one in records if one.get("request_id") == "hung-up")
        return [(one["kind"], one["status"]) for one in ours]

    with asked(service, "/query", request_id="hung-up", type="ObserverEvents"):
        assert eventually(lambda: running_queries(settings) > 0)
    assert eventually(lambda: lines() == [("/query", "499")])


def threads_at_work() -> int:
    """The threads of this process whose work is the project's; others are idle, or a library's."""
    return sum(
        any(name in frame.f_code.co_filename for frame, _ in traceback.walk_stack(top))
        for top in sys._current_frames().values()
        for name in ["/flight_service/", "/fraiseql_assets/"]
    )


@pytest.mark.usefixtures("endless")
def test_a_hundred_clients_that_hang_up_at_once_leave_nothing_behind(settings: Settings) -> None:
    token = signed(SECRET, sub="of many places")
    limits = {"principal_streams": CLIENTS, "graphql_wait_seconds": float(10 * SECONDS)}
    with serving(settings, jwt_secret=SecretStr(SECRET), **limits) as service:
        assert found_by(service, token) == 200
        before = threads_at_work()
        # The second time, one place that was not given back would refuse one of the clients.
        for _ in range(2):
            with ExitStack() as connections:
                clients = [
                    connections.enter_context(
                        asked(service, "/query", token, type="ObserverEvents")
                    )
                    for _ in range(CLIENTS)
                ]
                assert all_places_are_taken(service, token)
                assert eventually(lambda: running_queries(settings) > 0)
                assert select.select(clients, [], [], 0)[0] == []
            assert eventually(lambda: found_by(service, token) == 200)
            assert eventually(lambda: running_queries(settings) == 0)
            assert eventually(lambda: threads_at_work() <= before)


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("ticket", ["Asset", "ObserverEvents"])
def test_a_query_ends_when_its_client_hangs_up_before_the_first_row(
    service: Service, settings: Settings, ticket: str
) -> None:
    asset = {"asset": "analytics/events"} if ticket == "Asset" else {}
    with asked(service, "/query", type=ticket, **asset):
        assert eventually(lambda: running_queries(settings) > 0)
    assert eventually(lambda: running_queries(settings) == 0)


@pytest.mark.usefixtures("endless")
@pytest.mark.parametrize("asset", ["events", "event_type_stats"])
def test_a_count_of_rows_ends_when_its_client_hangs_up(
    guarded: Service, settings: Settings, asset: str
) -> None:
    # Those of a tenant are counted in the events themselves.
    token = signed(SECRET, sub="ada", tenant_id="acme")
    with asked(guarded, f"/assets/analytics/{asset}", token, format="info"):
        assert eventually(lambda: running_queries(settings) > 0)
    assert eventually(lambda: running_queries(settings) == 0)


@pytest.mark.usefixtures("endless")
def test_a_query_ends_when_its_stream_is_cancelled_before_the_first_row(
    service: Service, settings: Settings
) -> None:
    reader = service.client.do_get(flight.Ticket(b"analytics/events"))
    assert eventually(lambda: running_queries(settings) > 0)
    reader.cancel()
    assert eventually(lambda: running_queries(settings) == 0)
