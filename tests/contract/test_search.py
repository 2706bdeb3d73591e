"""Search on the real engine: what is found, in which order, and by whom."""

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from event_tables import DAY, MORNING, block, event
from pydantic import SecretStr
from request_rows import failure, index_requests, request

from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.engine import close_point, is_opensearch
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.search.engine import Search
from fraiseql_assets.operational.search.request import (
    Counts,
    Kinds,
    SearchMistake,
    SearchRequest,
)
from fraiseql_assets.operational.search.schema import COUNT_SCHEMA, FIELDS, HIT_SCHEMA
from fraiseql_assets.operational.search.values import QueryMistake
from fraiseql_assets.planes import PlaneNotSetUp
from fraiseql_assets.settings import Settings
from tests.separate_names import drop_indices

LONG = "w" * 2_000
ORDER = "8f14e45f-ceea-467f-a0c4-5f7d1c5b6c1e"


EVENTS = [
    event(1, entity_id=ORDER, data='{"status":"new","customer":{"country":"FR"}}'),
    event(2, entity_id=ORDER, event_type="UPDATE", data='{"status":"paid"}'),
    event(3, entity_type="Invoice", data='{"note":"a caf\\u00e9 in Zürich"}', tenant_id="other"),
    event(4, data='{"note":"' + LONG + ' end","customer":{"country":"DE"}}'),
    *(event(number, entity_type="Filler") for number in range(10, 60)),
]
REQUESTS = [
    failure(
        70,
        'deadlock detected on relation "tb_order"',
        variables=json.dumps({"id": ORDER}),
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    failure(71, 'deadlock detected on relation "tb_invoice"'),
    failure(72, "the field nothing is not of Order", "GRAPHQL_VALIDATION_FAILED"),
    failure(73, "deadlock detected elsewhere", tenant_id="other"),
    request(74),
]


@pytest.fixture(scope="module")
def filled(elasticsearch_url: str) -> Iterator[Settings]:
    """Settings under which events and requests are indexed, once for the module."""
    settings = Settings(
        elasticsearch_url=SecretStr(elasticsearch_url), index_prefix=f"test-{secrets.token_hex(4)}"
    )
    plane = OperationalPlane(settings)
    plane.setup()
    plane.write(block(EVENTS))
    plane.count(DAY)
    index_requests(settings, REQUESTS)
    yield settings
    plane.close()
    drop_indices(elasticsearch_url, settings.index_prefix)


def found(settings: Settings, principal: str | None = None, **conditions: Any) -> list[str]:
    page = Search(settings).hits(SearchRequest(**conditions), tenant=principal)
    assert page.schema == HIT_SCHEMA
    return page["id"].to_pylist()


def test_text_is_found_in_events_and_requests(filled: Settings) -> None:
    assert found(filled, query="deadlock tb_order") == ["r-70"]
    assert found(filled, query="zürich café") == ["e-3"]
    assert found(filled, query="end") == ["e-4"]
    assert found(filled, query="") != []


def test_filters_on_fields_and_paths(filled: Settings) -> None:
    assert found(filled, query="data.customer.country:FR") == ["e-1"]
    assert found(filled, query="_exists_:data.customer.country") == ["e-4", "e-1"]
    assert found(filled, query="error_codes:GRAPHQL_VALIDATION_FAILED") == ["r-72"]
    assert found(filled, query="duration_ms:[73 TO 80]") == ["r-74", "r-73"]
    assert found(filled, query="data.status:paid AND entity_type:Order") == ["e-2"]
    assert found(filled, query="entity_type:(Invoice OR Nothing)") == ["e-3"]
    assert found(filled, query=f'variables.id:"{ORDER}"') == ["r-70"]
    assert found(filled, entity_type="Invoice") == ["e-3"]
    assert found(filled, event_type="UPDATE") == ["e-2"]


def test_a_long_value_is_found_by_its_path_or_refused(filled: Settings) -> None:
    query = f'data.note:"{LONG} end"'
    with connect(filled, timeout=30) as client:
        has_limit = not is_opensearch(client)
    if not has_limit:
        assert found(filled, query=query) == ["e-4"]
        return
    for search in (Search(filled).hits, partial(Search(filled).counts, by=Counts.type)):
        with pytest.raises(QueryMistake, match=r"2,004 characters.* up to 1,024"):
            search(SearchRequest(query=query), tenant=None)


def test_the_timeline_of_an_id_is_in_order_of_time(filled: Settings) -> None:
    assert found(filled, id=ORDER, oldest_first=True) == ["e-1", "e-2", "r-70"]
    assert found(filled, entity=ORDER) == ["r-70", "e-2", "e-1"]
    assert found(filled, id="4bf92f3577b34da6a3ce929d0e0e4736") == ["r-70"]


def test_failed_requests_and_similar_ones_are_found(filled: Settings) -> None:
    assert found(filled, failed=True) == ["r-73", "r-72", "r-71", "r-70"]
    like = found(filled, similar="r-70")
    assert set(like) == {"r-71", "r-73"}
    with pytest.raises(SearchMistake, match="no request"):
        found(filled, similar="r-999")


def test_hits_are_filtered_by_kind_and_time(filled: Settings) -> None:
    assert found(filled, kinds=Kinds.requests, query="o-74") == ["r-74"]
    assert found(filled, kinds=Kinds.events, query="deadlock") == []
    at = MORNING + timedelta(minutes=71)
    assert found(filled, since=at, until=at + timedelta(minutes=1)) == ["r-71"]


def test_hits_are_counted(filled: Settings) -> None:
    def counted(by: Counts) -> dict[tuple[str, str], int]:
        batch = Search(filled).counts(SearchRequest(), by, tenant=None)
        assert batch.schema == COUNT_SCHEMA
        return {(row["kind"], row["key"]): row["count"] for row in batch.to_pylist()}

    assert counted(Counts.error) == {
        ("request", "DATABASE_ERROR"): 3,
        ("request", "GRAPHQL_VALIDATION_FAILED"): 1,
    }
    assert counted(Counts.type)["event", "Order.UPDATE"] == 1
    assert counted(Counts.type)["request", "query"] == 5
    assert sum(counted(Counts.hour).values()) == len(EVENTS) + len(REQUESTS)
    of_tenants = counted(Counts.tenant)
    assert sum(of_tenants.values()) == sum(
        row["tenant_id"] is not None for row in [*EVENTS, *REQUESTS]
    )
    assert of_tenants["request", "acme"] == 4
    assert sum(counted(Counts.operation).values()) == 5


def test_highlights_mark_the_search_words(filled: Settings) -> None:
    page = Search(filled).hits(SearchRequest(query="deadlock tb_order"), tenant=None)
    [fragments] = page["highlights"].to_pylist()
    assert "<em>deadlock</em>" in fragments[0]


def test_pages_have_every_hit_once(filled: Settings) -> None:
    request = SearchRequest(limit=7)
    search = Search(filled)
    ids = [name for page in search.pages(request, tenant=None) for name in page["id"].to_pylist()]
    assert len(ids) == len(set(ids)) == len(EVENTS) + len(REQUESTS)
    first = search.hits(request, tenant=None)
    cursor = first["cursor"][-1].as_py()
    resumed = Search(filled).hits(replace(request, cursor=cursor), tenant=None)
    assert resumed["id"].to_pylist() == ids[7:14]
    with pytest.raises(SearchMistake, match="another search"):
        search.hits(SearchRequest(query="deadlock", cursor=cursor), tenant=None)


def test_pages_continue_after_the_point_in_time_expired(filled: Settings) -> None:
    search = Search(filled)
    request = SearchRequest(limit=7)
    whole = found(filled, limit=21)
    cursor = search.hits(request, tenant=None)["cursor"][-1].as_py()
    _, point, _ = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    with connect(filled, timeout=30) as client:
        close_point(client, point)
    again = search.hits(replace(request, cursor=cursor), tenant=None)
    assert again["id"].to_pylist() == whole[7:14]


def test_a_tenant_finds_only_its_own_rows(filled: Settings) -> None:
    own = {"e-3", "r-73"}
    for query in (
        "",
        "tenant_id:acme OR tenant_id:other",
        "*",
        "NOT tenant_id:other OR *",
        "deadlock) OR (tenant_id:acme",
    ):
        try:
            assert set(found(filled, "other", query=query)) <= own
        except ValueError:
            continue
    assert set(found(filled, "other")) == own
    assert found(filled, "other", tenant="acme") == []
    assert found(filled, "other", id=ORDER) == []
    with pytest.raises(SearchMistake, match="no request"):
        found(filled, "other", similar="r-70")
    counts = Search(filled).counts(SearchRequest(), Counts.error, tenant="other")
    assert counts["count"].to_pylist() == [1]


def test_every_field_can_be_searched(filled: Settings) -> None:
    values = {"date": "2026-01-01", "long": "1", "double": "1", "flattened": "x"}
    for name, kind in FIELDS.items():
        found(filled, query=f"{name}:{values.get(kind, 'x')}")
        found(filled, query=f"_exists_:{name}")


def test_valid_queries_of_every_form_are_answered(filled: Settings) -> None:
    for query in (
        '"deadlock detected"~2',
        "deadlok~1",
        "dead*",
        "*lock",
        "/graphql",
        "deadlock^2 detected",
        "data.status:pa*",
        "data.status:[a TO z]",
        "timestamp:[now-1000d TO now+1d]",
        r"tb\_order",
        "😀",
        "-deadlock +detected",
        "!deadlock",
    ):
        found(filled, query=query)


def test_a_plane_without_events_has_no_hits(settings: Settings) -> None:
    plane = OperationalPlane(settings)
    plane.setup()
    plane.close()
    assert found(settings) == []
    assert found(settings, kinds=Kinds.requests, query="deadlock") == []
    assert Search(settings).counts(SearchRequest(), Counts.hour, tenant=None).num_rows == 0


def test_a_server_without_the_plane_needs_setup(settings: Settings) -> None:
    with pytest.raises(PlaneNotSetUp, match="fraiseql-assets setup"):
        found(settings)
