"""Whose rows a token reads: every ticket and route, with what is said of their sizes."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import requests
from flights import Service, events_of, fill, serving, set_up
from pyarrow import flight
from pydantic import SecretStr

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.publish import publish_generated
from tests.tokens import signed

DAY = datetime.now(UTC).date() - timedelta(days=3)
ROWS = 300
SECRET = "a secret of at least thirty-two characters"
EVENTS = ("analytics/events", "operational/events", "stream/events")
COUNTS = ("analytics/events_hourly", "analytics/event_type_stats", "analytics/org_daily")

Shared = tuple[Service, pa.Table]


@pytest.fixture(scope="module")
def shared(module_settings: Settings) -> Iterator[Shared]:
    """A service whose log and planes have events of several tenants, and of none."""
    planes = AnalyticsPlane(module_settings), OperationalPlane(module_settings)
    set_up(module_settings, *planes)
    events = events_of(DAY, ROWS, first=1)
    for plane in planes:
        fill(plane, module_settings, DAY, events)
        plane.close()
    publish(module_settings)
    with serving(module_settings, jwt_secret=SecretStr(SECRET)) as service:
        yield service, events


def publish(settings: Settings) -> None:
    asyncio.run(publish_generated(settings, count=ROWS, shape="arrow", seed=1))


def calling(**claims: Any) -> flight.FlightCallOptions:
    token = signed(SECRET, **{"sub": "ada", **claims})
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])


def get(shared: Shared, ticket: str, **claims: Any) -> pa.Table:
    return shared[0].client.do_get(flight.Ticket(ticket.encode()), calling(**claims)).read_all()


def http(shared: Shared, path: str, **claims: Any) -> requests.Response:
    token = signed(SECRET, **{"sub": "ada", **claims})
    headers = {"authorization": f"Bearer {token}"}
    answer = requests.get(f"{shared[0].http_url}{path}", headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def own(shared: Shared, tenant: str) -> list[str]:
    rows = shared[1].select(["event_id", "tenant_id"]).to_pylist()
    return sorted(row["event_id"] for row in rows if row["tenant_id"] == tenant)


def tenants(table: pa.Table) -> set[str | None]:
    return set(table["tenant_id"].to_pylist())


@pytest.mark.parametrize("tenant", ["acme", "nobody"])
@pytest.mark.parametrize("ticket", [*EVENTS, "analytics/org_daily", '{"type": "ObserverEvents"}'])
def test_a_ticket_returns_only_rows_of_the_tenant(shared: Shared, ticket: str, tenant: str) -> None:
    expected = {tenant} if own(shared, tenant) else set[str | None]()
    assert tenants(get(shared, ticket, tenant_id=tenant)) == expected


@pytest.mark.parametrize("asset", ["analytics/events", "operational/events"])
def test_a_ticket_returns_every_row_of_the_tenant(shared: Shared, asset: str) -> None:
    read = get(shared, asset, tenant_id="acme")
    assert sorted(read["event_id"].to_pylist()) == own(shared, "acme")
    over_http = http(shared, f"/assets/{asset}", tenant_id="acme").json()
    assert sorted(row["event_id"] for row in over_http) == own(shared, "acme")


@pytest.mark.parametrize("tenant", ["acme", "nobody"])
@pytest.mark.parametrize("asset", COUNTS)
def test_aggregates_count_only_events_of_the_tenant(
    shared: Shared, asset: str, tenant: str
) -> None:
    count = len(own(shared, tenant))
    assert sum(get(shared, asset, tenant_id=tenant)["event_count"].to_pylist()) == count
    rows = http(shared, f"/assets/{asset}", tenant_id=tenant).json()
    assert sum(row["event_count"] for row in rows) == count


def test_the_scope_for_all_tenants_reads_every_row(shared: Shared) -> None:
    for asset in ("analytics/events", "operational/events"):
        table = get(shared, asset, tenant_id="acme", scope="all_tenants")
        assert table.num_rows == ROWS
        assert len(tenants(table)) > 2


@pytest.mark.parametrize("tenant", ["acme", "nobody"])
def test_announced_sizes_are_those_of_the_tenant(shared: Shared, tenant: str) -> None:
    options = calling(tenant_id=tenant)
    for listed in shared[0].client.list_flights(b"", options):
        name = listed.descriptor.path[0].decode()
        asked = shared[0].client.get_flight_info(flight.FlightDescriptor.for_path(name), options)
        for info in (listed, asked):
            assert info.total_bytes == -1
            told = json.loads(info.app_metadata)
            assert "error" not in told
            if name.startswith("stream/"):
                assert (info.total_records, len(info.endpoints)) == (-1, 1)
                assert {told[key] for key in ("messages", "last_sequence", "partitions")} == {None}
                continue
            parts = [
                shared[0].client.do_get(end.ticket, options).read_all() for end in info.endpoints
            ]
            assert info.total_records == sum(part.num_rows for part in parts) == told["rows"]
            assert told["bytes"] is None
            for part in info.endpoints:
                assert json.loads(part.app_metadata or b"{}").get("bytes") is None


def test_search_finds_and_counts_only_rows_of_the_tenant(shared: Shared) -> None:
    ticket = json.dumps({"type": "Search", "query": "tenant_id:globex OR *", "limit": 1000})
    assert tenants(get(shared, ticket, tenant_id="acme")) == {"acme"}
    hits = http(shared, "/search?limit=1000", tenant_id="acme").json()["hits"]
    assert sorted(hit["id"] for hit in hits) == own(shared, "acme")
    counts = http(shared, "/search?count=type", tenant_id="acme").json()["counts"]
    assert sum(one["count"] for one in counts) == len(hits)
    every = http(shared, "/search?limit=1000", tenant_id="acme", scope="all_tenants").json()
    assert len(every["hits"]) == ROWS


@pytest.mark.parametrize("ticket", ['{"type": "Tail"}', '{"type": "Tail", "entity_type": "Order"}'])
def test_a_tail_returns_only_events_of_the_tenant(shared: Shared, ticket: str) -> None:
    options = calling(tenant_id="acme")
    reader = shared[0].client.do_get(flight.Ticket(ticket.encode()), options)
    assert reader.schema is not None
    publish(shared[0].settings)
    batch = reader.read_chunk().data
    reader.cancel()
    assert tenants(pa.Table.from_batches([batch])) == {"acme"}


def test_tenants_have_different_entity_tags(shared: Shared) -> None:
    tags = {
        http(shared, "/assets/analytics/org_daily", tenant_id=tenant).headers["etag"]
        for tenant in ("acme", "globex")
    }
    assert len(tags) == 2
