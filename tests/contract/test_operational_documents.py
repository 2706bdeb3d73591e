"""The operational plane in the server: indices by day, aliases, documents.

All tests share the helpers that read the server, so the file is longer than others.
"""

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from event_tables import DAY, MORNING, STREAM, block, entry, event
from pydantic import SecretStr

from fraiseql_assets.operational import results
from fraiseql_assets.operational.bodies import Body
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.engine import close_point, open_point
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.operational.writer import SENDERS, Writer
from fraiseql_assets.planes import PlaneError, PlaneUnavailable, Written
from fraiseql_assets.settings import Settings

EVENTS = "operational/events"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(params=["operational"])
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(settings: Settings) -> Any:
    """The server itself."""
    with connect(settings, timeout=30) as client:
        yield client


@pytest.fixture
def names(settings: Settings) -> tuple[str, str]:
    """The alias of all events, and the one of the day."""
    alias = f"{settings.index_prefix}-events"
    return alias, f"{alias}-{DAY:%Y.%m.%d}"


def found(server: Elasticsearch, alias: str, **query: Any) -> list[str]:
    server.indices.refresh(index=alias)
    hits = server.search(index=alias, query=query, size=1_000)["hits"]["hits"]
    return sorted(hit["_source"]["event_id"] for hit in hits)


def test_a_day_is_an_index_with_an_alias_for_the_day_and_for_all_days(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    plane.write(block([event(1)]))
    tomorrow = event(2, stream_time=MORNING + timedelta(days=1))
    plane.write(block([tomorrow], day=DAY + timedelta(days=1)))
    alias, today = names
    assert found(server, alias, match_all={}) == ["e-1", "e-2"]
    assert found(server, today, match_all={}) == ["e-1"]
    assert list(server.indices.get_alias(name=today)) == [f"{today}-000001"]


def test_a_replacement_moves_the_aliases_and_deletes_the_old_index(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    plane.write(block([event(1)]))
    replacement = plane.replace(DAY)
    replacement.write(block([event(1)]))
    replacement.swap(entry(1, 1, state="committed", kind="partition", rows=1))
    alias, today = names
    new = f"{today}-000002"
    assert list(server.indices.get(index=f"{today}-*")) == [new]
    assert sorted(server.indices.get_alias(index=new)[new]["aliases"]) == [alias, today]


def test_documents_lie_in_the_order_of_the_log(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    for position in (3, 1, 2):
        plane.write(block([event(position)]))
    _, today = names
    server.indices.refresh(index=today)
    server.indices.forcemerge(index=today, max_num_segments=1)
    hits = server.search(index=today, sort=["_doc"])["hits"]["hits"]
    assert [hit["_source"]["stream_seq"] for hit in hits] == [1, 2, 3]


WORDS = ('"e-7"', "Refund", '"o-7"', "globex", "user-3", "paid", "Zoë", "paid Zoë globex")


def test_an_event_is_found_by_any_of_its_words(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    sought = event(
        7,
        entity_type="Refund",
        entity_id="o-7",
        tenant_id="globex",
        user_id="user-3",
        data=r'{"status":"paid","customer":{"name":"Zo\u00eb"}}',
    )
    others = [event(number, data='{"status":"new"}', entity_id="x") for number in (1, 2)]
    plane.write(block([*others, sought]))
    for words in WORDS:
        query = {"query": words, "fields": ["text"], "default_operator": "and"}
        assert found(server, names[0], simple_query_string=query) == ["e-7"], words


def test_fields_of_data_and_changes_are_found_by_exact_value(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    changes = '{"status":{"old":"new","new":"paid"}}'
    plane.write(block([event(1, data='{"customer":{"country":"FR"}}'), event(2, changes=changes)]))
    assert found(server, names[0], term={"data.customer.country": "FR"}) == ["e-1"]
    assert found(server, names[0], term={"changes.status.new": "paid"}) == ["e-2"]


def test_data_that_cannot_be_indexed_is_stored(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    huge = '{"status":"odd","number":' + "9" * 400 + "}"
    assert plane.write(block([event(1), event(2, data=huge)])) == Written(2, 0, [])
    assert found(server, names[0], term={"data.status": "paid"}) == ["e-1"]
    assert found(server, names[0], match={"text": "odd"}) == ["e-2"]


def test_a_block_is_sent_in_concurrent_requests(
    open_plane: Callable[..., OperationalPlane], monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = open_plane(bulk_bytes=10_000)
    plane.setup()
    both, calls, send = threading.Barrier(SENDERS), itertools.count(), Writer._answer_to

    def answer_to(writer: Writer, part: Body) -> dict[str, Any]:
        if next(calls) < SENDERS:
            both.wait(timeout=30)
        return send(writer, part)

    monkeypatch.setattr(Writer, "_answer_to", answer_to)
    events = [event(number) for number in range(1, 301)]
    assert plane.write(block(events)) == Written(300, 0, [])
    assert next(calls) > SENDERS
    assert plane.write(block(events)) == Written(300, 0, [])


def test_the_first_of_equal_ids_in_a_block_is_kept(
    open_plane: Callable[..., OperationalPlane], server: Elasticsearch, names: tuple[str, str]
) -> None:
    plane = open_plane(bulk_bytes=10_000)
    plane.setup()
    again = [event(number, event_id=f"e-{number - 150}") for number in range(151, 301)]
    events = [*(event(number) for number in range(1, 151)), *again]
    assert plane.write(block(events)) == Written(150, 150, [])
    server.indices.refresh(index=names[0])
    late = {"range": {"stream_seq": {"gt": 150}}}
    assert server.count(index=names[0], query=late)["count"] == 0


@pytest.fixture
def picky_day(plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]) -> None:
    """The day's index takes only numbers as `entity_id`."""
    server.indices.create(
        index=f"{names[1]}-000001",
        mappings={"properties": {"entity_id": {"type": "long"}}},
        aliases={name: {} for name in names},
    )


@pytest.mark.usefixtures("picky_day")
def test_documents_that_the_server_rejects_are_reported_and_the_rest_written(
    plane: OperationalPlane,
) -> None:
    events = [event(n, entity_id="12" if n % 2 else "twelve", stream_row=n) for n in range(1, 6)]
    written = plane.write(block(events))
    assert (written.rows, written.duplicates) == (3, 0)
    assert [(reject.sequence, reject.row) for reject in written.refused] == [(2, 2), (4, 4)]
    [first, _] = written.refused
    assert "entity_id" in first.reason
    assert b'"id":"e-2"' in first.payload
    assert first.time == (MORNING + 2 * MICROSECOND - EPOCH) // MICROSECOND * 1_000
    assert plane.write(block(events)).rows == 3


def test_a_range_with_lost_rows_is_not_committed(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    begun = entry(1, 3)
    plane.record(begun)
    plane.write(block([event(number) for number in range(1, 4)]))
    server.delete(index=names[1], id="e-2")
    committed = entry(1, 3, state="committed", rows=3, messages=3)
    with pytest.raises(PlaneUnavailable, match=r"2 of the 3 events of 1-3.*again"):
        plane.record(committed)
    assert plane.ledger(STREAM) == [begun]
    assert plane.write(block([event(number) for number in range(1, 4)])).rows == 3
    plane.record(committed)
    assert plane.ledger(STREAM) == [committed]


def test_a_new_day_that_lost_rows_is_not_swapped_in(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    plane.write(block([event(1)]))
    replacement = plane.replace(DAY)
    replacement.write(block([event(1), event(2)]))
    server.delete(index=f"{names[1]}-000002", id="e-2")
    with pytest.raises(PlaneError, match=r"1 events instead of 2.*again"):
        replacement.swap(entry(1, 2, state="committed", kind="partition", rows=2))
    assert list(server.indices.get_alias(name=names[1])) == [f"{names[1]}-000001"]


def test_a_day_with_a_deleted_index_gets_a_new_one(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    plane.write(block([event(1)]))
    server.indices.delete(index=f"{names[1]}-000001")
    assert plane.count(DAY).rows == 0
    assert plane.write(block([event(1), event(2)])).rows == 2
    assert plane.count(DAY).rows == 2


def test_a_day_with_two_live_indices_is_not_written(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str]
) -> None:
    for number in (1, 2):
        server.indices.create(index=f"{names[1]}-00000{number}", aliases={names[1]: {}})
    with pytest.raises(PlaneError, match="names several indices"):
        plane.write(block([event(1)]))


def test_setup_adds_fields_to_older_indices(
    plane: OperationalPlane, server: Elasticsearch, names: tuple[str, str], settings: Settings
) -> None:
    older = f"{names[1]}-000001"
    ledger = f"{settings.index_prefix}-ledger"
    server.indices.delete_index_template(name=names[0])
    server.indices.delete(index=ledger)
    as_it_was = {"event_id": {"type": "keyword", "doc_values": True, "ignore_above": 100}}
    server.indices.create(index=older, mappings={"properties": as_it_was})
    server.indices.create(index=ledger, mappings={"properties": {"stream": {"type": "keyword"}}})
    plane.setup()
    for index, field in ((older, "text"), (ledger, "at_us")):
        assert field in server.indices.get_mapping(index=index)[index]["mappings"]["properties"]
    [kept] = server.indices.get_mapping(index=older).values()
    assert kept["mappings"]["properties"]["event_id"]["ignore_above"] == 100


def test_setup_refuses_an_index_with_other_mappings(
    plane: OperationalPlane, server: Elasticsearch, settings: Settings
) -> None:
    ledger = f"{settings.index_prefix}-ledger"
    server.indices.delete(index=ledger)
    server.indices.create(index=ledger, mappings={"properties": {"first": {"type": "text"}}})
    with pytest.raises(PlaneError, match="first"):
        plane.setup()


def test_days_past_their_retention_are_deleted_with_their_entries(
    plane: OperationalPlane, settings: Settings
) -> None:
    kept = settings.retention_raw_days
    days = [DAY - timedelta(days=back) for back in (0, kept - 1, kept, kept + 7)]
    for number, day in enumerate(days, 1):
        plane.write(block([event(number)], day=day))
        plane.record(entry(number, number, day=day, state="committed", rows=1))
    dropped = plane.enforce_retention(DAY)
    assert len(dropped) == 3
    assert [plane.count(day).rows for day in days] == [1, 1, 0, 0]
    assert [found.day for found in plane.ledger(STREAM)] == days[:2]
    assert plane.enforce_retention(DAY) == []


def test_reading_continues_after_a_point_in_time_expires(
    plane: OperationalPlane,
    server: Elasticsearch,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The page after the one that was read is asked for already: its successors are not.
    monkeypatch.setattr(results, "LARGEST_PAGE", results.FIRST_PAGE)
    many = 5 * results.FIRST_PAGE
    plane.write(block([event(number) for number in range(1, many + 1)]))
    points: list[str] = []

    def open_and_note(*how: Any) -> str:
        points.append(open_point(*how))
        return points[-1]

    monkeypatch.setattr(results, "open_point", open_and_note)
    batches = OperationalReader(settings).batches(EVENTS)
    read = next(batches)["stream_seq"].to_pylist()
    close_point(server, points[0])
    for batch in batches:
        read += batch["stream_seq"].to_pylist()
    assert read == list(range(1, many + 1))
    assert len(points) == 2


def test_points_in_time_that_always_expire_are_an_unavailable_server(
    plane: OperationalPlane,
    server: Elasticsearch,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane.write(block([event(1)]))

    def open_and_close(*how: Any) -> str:
        point = open_point(*how)
        close_point(server, point)
        return point

    monkeypatch.setattr(results, "open_point", open_and_close)
    with pytest.raises(PlaneUnavailable, match="closes a point in time"):
        list(OperationalReader(settings).batches(EVENTS))


def test_a_url_of_another_server_is_reported(settings: Settings, nats_url: str) -> None:
    elsewhere = settings.model_copy(update={"elasticsearch_url": settings.clickhouse_url})
    plane = OperationalPlane(elsewhere)
    with pytest.raises(PlaneError, match="FRAISEQL_ELASTICSEARCH_URL"):
        plane.describe()
    plane.close()
    silent = settings.model_copy(
        update={"elasticsearch_url": SecretStr(nats_url.replace("nats", "http"))}
    )
    plane = OperationalPlane(silent)
    with pytest.raises(PlaneUnavailable, match="FRAISEQL_ELASTICSEARCH_URL"):
        plane.ping()
    plane.close()
