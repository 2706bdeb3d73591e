"""Assets over HTTP: JSON and Arrow, columns, partitions, and entity tags."""

import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import requests
from flights import Service, events_of, fill, fill_planes, serving
from pyarrow import flight
from pydantic import SecretStr
from request_messages import publish_requests

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.catalogue import ASSETS
from fraiseql_assets.datasets import REQUESTS
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job, default_batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from tests.tokens import signed

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=back) for back in (4, 3)]
ROWS = 200
ARROW = "application/vnd.apache.arrow.stream"
SECRET = "a secret of at least thirty-two characters"


@pytest.fixture(scope="module")
def settings(module_settings: Settings) -> Settings:
    fill_planes(module_settings, DAYS, ROWS)
    return module_settings


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[Service]:
    with serving(settings) as service:
        yield service


def get(service: Service, path: str, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(f"{service.http_url}/assets{path}", headers=named, timeout=60)


def table(answer: requests.Response) -> pa.Table:
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW)
    return pa.ipc.open_stream(io.BytesIO(answer.content)).read_all()


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["event_id"] for row in rows)


def test_the_assets_are_listed_with_their_columns(service: Service) -> None:
    listed = get(service, "").json()
    assert [one["asset"] for one in listed] == [asset.key for asset in ASSETS]
    [events] = [one for one in listed if one["asset"] == "analytics/events"]
    assert [column["name"] for column in events["columns"]] == EVENT_SCHEMA.names


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_rows_of_an_asset_are_listed_by_partition(service: Service, asset: str) -> None:
    about = get(service, f"/{asset}?format=info").json()
    assert (about["asset"], about["rows"]) == (asset, len(DAYS) * ROWS)
    parts = [(part["partition"], part["rows"]) for part in about["parts"]]
    assert parts == [(f"{day}", ROWS) for day in DAYS]
    first = get(service, f"/{asset}?format=info&partition={DAYS[0]}").json()
    assert first["rows"] == ROWS


def test_head_has_no_content_length(service: Service) -> None:
    answer = requests.head(f"{service.http_url}/assets/analytics/events?format=arrow", timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW)
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_json_and_arrow_have_the_rows_of_flight(service: Service, asset: str) -> None:
    over_flight = service.client.do_get(flight.Ticket(asset.encode())).read_all()
    over_http = table(get(service, f"/{asset}", accept=ARROW))
    assert over_http.schema == over_flight.schema
    assert ids(over_http.to_pylist()) == ids(over_flight.to_pylist())
    rows = get(service, f"/{asset}").json()
    assert ids(rows) == ids(over_flight.to_pylist())
    assert list(rows[0]) == EVENT_SCHEMA.names


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_arrow_has_the_requested_compression(service: Service, compression: str) -> None:
    plain = get(service, "/analytics/events?format=arrow", accept_encoding="identity")
    headers = {"x_arrow_compression": compression, "accept_encoding": "identity"}
    small = get(service, "/analytics/events?format=arrow", **headers)
    assert len(small.content) < len(plain.content)
    assert ids(table(small).to_pylist()) == ids(table(plain).to_pylist())


def test_columns_and_partitions_are_selected(service: Service) -> None:
    rows = get(service, f"/analytics/events?columns=entity_id,event_id&partition={DAYS[0]}").json()
    assert len(rows) == ROWS
    assert list(rows[0]) == ["entity_id", "event_id"]
    assert len(get(service, f"/analytics/events?start={DAYS[1]}").json()) == ROWS
    assert len(get(service, f"/analytics/events?end={DAYS[1]}").json()) == 2 * ROWS
    assert get(service, f"/analytics/events?partition={TODAY}").json() == []


def test_flight_selects_columns_in_every_endpoint(service: Service) -> None:
    ticket = b'{"type": "Asset", "asset": "analytics/events", "columns": ["seq", "event_id"]}'
    info = service.client.get_flight_info(flight.FlightDescriptor.for_command(ticket))
    parts = [service.client.do_get(end.ticket).read_all() for end in info.endpoints]
    assert [part.num_rows for part in parts] == [ROWS, ROWS]
    assert {tuple(part.column_names) for part in parts} == {("seq", "event_id")}
    assert all(part.schema == info.schema for part in parts)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/analytics/nothing", 404, "There is no asset"),
        ("/analytics/events?columns=nothing", 400, "There is no column 'nothing'"),
        ("/analytics/events?columns=seq,seq", 400, "each once"),
        ("/analytics/events?partition=soon", 400, "partition"),
        ("/analytics/events?colums=seq", 400, "unknown field"),
        ("/analytics/events?format=xml", 400, "one of json, arrow"),
    ],
)
def test_invalid_requests_are_refused_with_the_reason(
    service: Service, path: str, status: int, said: str
) -> None:
    answer = get(service, path)
    assert answer.status_code == status
    assert said in answer.json()["errors"][0]["message"]


def test_only_get_and_head_are_allowed(service: Service) -> None:
    answer = requests.post(f"{service.http_url}/assets/analytics/events", timeout=60)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events", "stream/events"])
def test_an_unchanged_asset_is_answered_with_304(service: Service, asset: str) -> None:
    first = get(service, f"/{asset}")
    again = get(service, f"/{asset}", if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    # Another form of the same rows is another content.
    assert get(service, f"/{asset}", if_none_match=first.headers["etag"], accept=ARROW).ok
    other = get(service, f"/{asset}?columns=event_id", if_none_match=first.headers["etag"])
    assert other.status_code == 200
    assert other.headers["etag"] != first.headers["etag"]


def test_a_committed_range_changes_the_entity_tag(service: Service, settings: Settings) -> None:
    tag = get(service, "/analytics/events").headers["etag"]
    plane = AnalyticsPlane(settings)
    day = TODAY - timedelta(days=2)
    fill(plane, settings, day, events_of(day, 10, first=1 + 2 * ROWS))
    plane.close()
    changed = get(service, "/analytics/events", if_none_match=tag)
    assert changed.status_code == 200
    assert len(changed.json()) == 2 * ROWS + 10
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize(("asset", "first"), [("operational/requests", 1), ("stream/requests", 3)])
def test_recorded_requests_change_the_entity_tag(
    service: Service, settings: Settings, asset: str, first: int
) -> None:
    ingest_request(settings, first)
    tag = get(service, f"/{asset}").headers["etag"]
    assert get(service, f"/{asset}", if_none_match=tag).status_code == 304
    ingest_request(settings, first + 1)
    changed = get(service, f"/{asset}", if_none_match=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def ingest_request(settings: Settings, number: int) -> None:
    """Publishes a request, and ingests it."""
    publish_requests(settings, [number])
    job = Job("test", 1, default_batching(settings), 1)
    with (
        closing(OperationalPlane(settings, REQUESTS)) as plane,
        Log(settings, name="tests", dataset=REQUESTS) as log,
    ):
        plane.setup()
        last = log.bounds().last
        place = log.position_from(last)
        assert place is not None
        ingest_range(plane, log, SequenceRange(last, last), place.day, job)


def test_entity_tags_belong_to_one_principal(settings: Settings) -> None:
    with serving(settings, jwt_secret=SecretStr(SECRET)) as guarded:
        assert get(guarded, "").status_code == 401
        assert get(guarded, "/analytics/events").status_code == 401
        tags = [
            get(guarded, "/analytics/org_daily", authorization=f"Bearer {token}").headers["etag"]
            for token in (signed(SECRET, sub="ada"), signed(SECRET, sub="bob"))
        ]
        assert len(set(tags)) == 2


def test_a_plane_that_is_down_is_unavailable(settings: Settings) -> None:
    down = {"clickhouse_url": SecretStr("http://default:@127.0.0.1:9/default")}
    with serving(settings, **down) as service:
        answer = get(service, "/analytics/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "ClickHouse" in answer.json()["errors"][0]["message"]
