"""The Flight service as a client meets it: its own process, over filled planes and a real log."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from flights import Service, events_of, fill, serving, set_up
from pyarrow import flight

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.catalogue import ASSETS
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated

ROWS = 400
TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=back) for back in (6, 4, 3)]
EVENT_ASSETS = ("analytics/events", "operational/events")


@pytest.fixture(scope="module")
def written() -> dict[date, pa.Table]:
    """What both planes hold, by day."""
    return {day: events_of(day, ROWS, first=1 + number * ROWS) for number, day in enumerate(DAYS)}


@pytest.fixture(scope="module")
def service(module_settings: Settings, written: dict[date, pa.Table]) -> Iterator[Service]:
    planes = AnalyticsPlane(module_settings), OperationalPlane(module_settings)
    set_up(module_settings, *planes)
    for day, events in written.items():
        for plane in planes:
            fill(plane, module_settings, day, events)
    for plane in planes:
        plane.close()
    asyncio.run(publish_generated(module_settings, count=50, shape="observer", seed=1))
    asyncio.run(publish_generated(module_settings, count=50, shape="arrow", seed=2))
    with serving(module_settings) as service:
        yield service


def get(service: Service, ticket: dict[str, Any] | str) -> pa.Table:
    text = ticket if isinstance(ticket, str) else json.dumps(ticket)
    return service.client.do_get(flight.Ticket(text.encode())).read_all()


def info(service: Service, ticket: dict[str, Any] | str) -> flight.FlightInfo:
    text = ticket if isinstance(ticket, str) else json.dumps(ticket)
    return service.client.get_flight_info(flight.FlightDescriptor.for_command(text.encode()))


def ids(*tables: pa.Table) -> list[str]:
    return sorted(value for table in tables for value in table["event_id"].to_pylist())


def sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    return table.sort_by("stream_seq").to_pylist()


def test_every_asset_is_listed_with_its_known_counts(service: Service) -> None:
    found = {b"".join(f.descriptor.path).decode(): f for f in service.client.list_flights()}
    about = {name: json.loads(flight.app_metadata) for name, flight in found.items()}
    assert list(found) == [asset.key for asset in ASSETS]
    assert all(len(flight.descriptor.path) == 1 for flight in found.values())
    assert {a.key: a.description for a in ASSETS} == {k: v["description"] for k, v in about.items()}
    assert "error" not in {key for known in about.values() for key in known}
    for key in EVENT_ASSETS:
        assert found[key].total_records == about[key]["rows"] == 3 * ROWS
        assert found[key].total_bytes == about[key]["bytes"] > 0
        committed = datetime.fromisoformat(about[key]["last_materialisation"])
        assert abs(committed - datetime.now(UTC)) < timedelta(minutes=10)
    assert found["analytics/org_daily"].total_records > 0
    log = about["stream/events"]
    assert log["first_sequence"] == 1
    assert log["last_sequence"] == log["messages"] >= 51


@pytest.mark.parametrize("asset", EVENT_ASSETS)
def test_an_asset_has_the_rows_that_were_written(
    service: Service, written: dict[date, pa.Table], asset: str
) -> None:
    read = get(service, asset)
    assert read.schema == EVENT_SCHEMA
    assert sorted_rows(read) == sorted_rows(pa.concat_tables(written.values()))


@pytest.mark.parametrize("asset", EVENT_ASSETS)
def test_parallel_endpoints_have_every_row_once(
    service: Service, written: dict[date, pa.Table], asset: str
) -> None:
    found = info(service, asset)
    known = [json.loads(endpoint.app_metadata) for endpoint in found.endpoints]
    assert [(part["partition"], part["rows"]) for part in known] == [(f"{d}", ROWS) for d in DAYS]

    def fetch(endpoint: flight.FlightEndpoint) -> pa.Table:
        with flight.connect(endpoint.locations[0]) as client:
            return client.do_get(endpoint.ticket).read_all()

    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(fetch, found.endpoints))
    assert [part.num_rows for part in parts] == [ROWS, ROWS, ROWS]
    assert ids(*parts) == ids(*written.values())


@pytest.mark.parametrize(
    ("narrowing", "days"),
    [
        ({"partition": f"{DAYS[1]}"}, DAYS[1:2]),
        ({"start": f"{DAYS[1]}"}, DAYS[1:]),
        ({"end": f"{DAYS[1]}"}, DAYS[:2]),
        ({"start": f"{DAYS[0] + timedelta(days=1)}", "end": f"{DAYS[1]}"}, DAYS[1:2]),
    ],
)
@pytest.mark.parametrize("asset", EVENT_ASSETS)
def test_a_ticket_is_narrowed_to_partitions(
    service: Service,
    written: dict[date, pa.Table],
    asset: str,
    narrowing: dict[str, str],
    days: list[date],
) -> None:
    ticket = {"type": "Asset", "asset": asset, **narrowing}
    found = info(service, ticket)
    assert [json.loads(e.app_metadata)["partition"] for e in found.endpoints] == [*map(str, days)]
    assert found.total_records == len(days) * ROWS
    assert ids(get(service, ticket)) == ids(*(written[day] for day in days))


@pytest.mark.parametrize("asset", [asset.key for asset in ASSETS])
@pytest.mark.parametrize("narrowing", [{"partition": "1999-01-01"}, {"end": "1999-01-01"}])
def test_an_empty_asset_has_the_full_schema(
    service: Service, asset: str, narrowing: dict[str, str]
) -> None:
    ticket = {"type": "Asset", "asset": asset, **narrowing}
    found, read = info(service, ticket), get(service, ticket)
    assert read.num_rows == 0
    assert read.schema == found.schema == info(service, asset).schema
    assert len(found.endpoints) == 1


def test_the_aggregates_are_read(service: Service, written: dict[date, pa.Table]) -> None:
    for asset in ("analytics/events_hourly", "analytics/org_daily", "analytics/event_type_stats"):
        read = get(service, asset)
        assert read.schema == AnalyticsReader(service.settings).schema(asset)
        assert sum(read["event_count"].to_pylist()) == 3 * ROWS
        found = info(service, asset)
        # Rows of an aggregate are merged over its partitions, so that the whole is one endpoint.
        [endpoint] = found.endpoints
        whole = service.client.do_get(endpoint.ticket).read_all()
        assert whole.num_rows == read.num_rows == found.total_records


@pytest.mark.parametrize(
    "asset", ["analytics/events_hourly", "analytics/org_daily", "analytics/event_type_stats"]
)
def test_a_partition_of_an_aggregate_has_the_events_stored_on_its_day(
    service: Service, written: dict[date, pa.Table], asset: str
) -> None:
    for day in written:
        ticket = {"type": "Asset", "asset": asset, "partition": f"{day}"}
        read = get(service, ticket)
        assert sum(read["event_count"].to_pylist()) == ROWS
        assert info(service, ticket).total_records == read.num_rows


def expected(written: dict[date, pa.Table], **wanted: Any) -> list[str]:
    rows = pa.concat_tables(written.values()).to_pylist()
    return sorted(
        row["event_id"]
        for row in rows
        if row["entity_type"] == wanted.get("entity_type", row["entity_type"])
        and wanted.get("start", row["timestamp"]) <= row["timestamp"]
        and row["timestamp"] < wanted.get("end", datetime.max.replace(tzinfo=UTC))
    )


def test_events_are_filtered_by_type_and_time(
    service: Service, written: dict[date, pa.Table]
) -> None:
    start = datetime.combine(DAYS[0], datetime.min.time(), UTC) + timedelta(milliseconds=100)
    end = datetime.combine(DAYS[1], datetime.min.time(), UTC) + timedelta(days=1)
    read = get(
        service,
        {
            "type": "ObserverEvents",
            "entity_type": "Order",
            "start_date": start.isoformat(),
            "end_date": f"{DAYS[1]}",
        },
    )
    assert ids(read) == expected(written, entity_type="Order", start=start, end=end)
    assert 0 < read.num_rows < 2 * ROWS


def test_an_end_that_is_a_time_is_not_included(
    service: Service, written: dict[date, pa.Table]
) -> None:
    end = datetime.combine(DAYS[0], datetime.min.time(), UTC) + timedelta(milliseconds=10)
    read = get(service, {"type": "ObserverEvents", "end_date": end.isoformat()})
    assert ids(read) == expected(written, end=end)
    assert read.num_rows == 10


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_events_are_limited(service: Service, limit: int) -> None:
    ticket = {"type": "ObserverEvents", "limit": limit}
    read = get(service, ticket)
    assert (read.num_rows, read.schema) == (limit, EVENT_SCHEMA)
    assert len(info(service, ticket).endpoints) == 1


def test_a_number_of_newest_events_can_be_requested(service: Service) -> None:
    with pytest.raises(pa.ArrowInvalid, match="Say how many in its field limit"):
        info(service, {"type": "ObserverEvents", "newest": True})


def test_client_text_is_never_part_of_a_statement(service: Service) -> None:
    for text in ("' OR 1=1 --", "Order' UNION ALL SELECT", "{x:String}", "\\'", "\x00", "Größe"):
        assert get(service, {"type": "ObserverEvents", "entity_type": text}).num_rows == 0


@pytest.mark.parametrize("asset", EVENT_ASSETS)
def test_the_first_endpoint_alone_can_have_every_row(
    service: Service, written: dict[date, pa.Table], asset: str
) -> None:
    name = flight.FlightDescriptor.for_path(f"{asset}?endpoints=1")
    [endpoint] = service.client.get_flight_info(name).endpoints
    assert ids(service.client.do_get(endpoint.ticket).read_all()) == ids(*written.values())


@pytest.mark.parametrize("name", ["analytics/nothing", "nothing", "analytics"])
def test_an_unknown_name_is_not_found(service: Service, name: str) -> None:
    path = flight.FlightDescriptor.for_path(name)
    for call in (service.client.get_flight_info, service.client.get_schema):
        with pytest.raises(pa.ArrowKeyError, match="There is no asset"):
            call(path)
    with pytest.raises(pa.ArrowKeyError, match="There is no asset"):
        get(service, {"type": "Asset", "asset": name})


def test_polars_reads_a_flight(service: Service) -> None:
    frame = pl.from_arrow(service.client.do_get(flight.Ticket(b"analytics/events")).to_reader())
    assert isinstance(frame, pl.DataFrame)
    assert frame.shape == (3 * ROWS, len(EVENT_SCHEMA))
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")


def test_the_log_has_the_events_that_were_published(service: Service) -> None:
    read = get(service, "stream/events")
    assert read.schema == EVENT_SCHEMA
    # Fifty messages of one event, and one of fifty; other tests publish after them.
    assert read["stream_seq"].to_pylist()[:100] == [*range(1, 51), *[51] * 50]
    assert len(set(ids(read))) == read.num_rows


def test_the_log_is_read_a_day_at_a_time(service: Service) -> None:
    found = info(service, "stream/events")
    parts = [service.client.do_get(endpoint.ticket).read_all() for endpoint in found.endpoints]
    assert {day.date() for part in parts for day in part["stream_time"].to_pylist()} <= {
        date.fromisoformat(json.loads(endpoint.app_metadata)["partition"])
        for endpoint in found.endpoints
    }
    assert ids(*parts) == ids(get(service, "stream/events"))


@pytest.mark.parametrize("shape", ["observer", "arrow"])
def test_a_tail_has_every_event_published_from_then_on(service: Service, shape: str) -> None:
    reader = service.client.do_get(flight.Ticket(b'{"type":"Tail"}'))
    asyncio.run(publish_generated(service.settings, count=300, shape=shape))
    sequences: list[int] = []
    while len(sequences) < 300:
        sequences += reader.read_chunk().data["seq"].to_pylist()
    reader.cancel()
    assert sequences == [*range(sequences[0], sequences[0] + 300)]


def test_a_tail_is_filtered_by_entity_type(service: Service) -> None:
    ticket = flight.Ticket(b'{"type":"Tail","entity_type":"Payment"}')
    reader = service.client.do_get(ticket)
    asyncio.run(publish_generated(service.settings, count=200, shape="observer"))
    assert set(reader.read_chunk().data["entity_type"].to_pylist()) == {"Payment"}
    reader.cancel()
