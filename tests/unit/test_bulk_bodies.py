"""Bodies of `_bulk` requests: each line is JSON with exactly the event's values."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from event_tables import AWKWARD_JSON, event, extreme_events, table
from hypothesis import given, settings
from hypothesis import strategies as st

from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP
from fraiseql_assets.json_escaping import escaped
from fraiseql_assets.operational.bodies import (
    LONGEST_ID,
    bodies,
    document_ids,
    event_documents,
)
from fraiseql_assets.operational.json_text import rfc3339

INDEX = "fraiseql-events-2026.03.14"


def lines_of(events: list[dict[str, Any]], **how: Any) -> list[tuple[dict, dict]]:
    """Action and document of each event."""
    payload = b"".join(
        body.payload() for body in bodies(table(events), INDEX, 2**20, event_documents, **how)
    )
    assert payload.endswith(b"\n")
    lines = [json.loads(line) for line in payload.decode().split("\n")[:-1]]
    return list(zip(lines[::2], lines[1::2], strict=True))


def as_stored(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row that a document holds unchanged."""
    times = {
        name: row[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
        for name in ("timestamp", "stream_time")
    }
    texts = {f"{name}_json": row[name] for name in ("data", "changes")}
    rest = {name: row[name] for name in EVENT_SCHEMA.names if name not in ("data", "changes")}
    return {name: value for name, value in {**rest, **texts, **times}.items() if value is not None}


@settings(deadline=None, max_examples=150)
@given(extreme_events())
def test_a_document_has_the_exact_value_of_every_column(events: list[dict[str, Any]]) -> None:
    rows = table(events).to_pylist()
    stored = [document for _, document in lines_of(events)]
    for document in stored:
        for field in ("data", "changes", "text"):
            document.pop(field, None)
    assert stored == list(map(as_stored, rows))


@settings(deadline=None, max_examples=50)
@given(extreme_events())
def test_only_objects_are_indexed_beside_their_text(events: list[dict[str, Any]]) -> None:
    for row, (_, document) in zip(events, lines_of(events), strict=True):
        for field in ("data", "changes"):
            if field in document:
                assert document[field] == json.loads(row[field])
                assert isinstance(document[field], dict)


def test_an_object_among_other_values_is_indexed_as_an_object() -> None:
    events = [
        event(number, data=data)
        for number, data in enumerate((*AWKWARD_JSON, '{"status":\n  "paid"}'), 1)
    ]
    assert lines_of(events)[-1][1]["data"] == {"status": "paid"}


def test_without_objects_only_the_text_is_sent() -> None:
    [(_, document)] = lines_of([event(1, changes='{"a":1}')], with_objects=False)
    assert "data" not in document
    assert "changes" not in document
    assert document["changes_json"] == '{"a":1}'


@settings(deadline=None)
@given(st.lists(st.none() | st.text(), min_size=1))
def test_escaped_text_is_the_text_of_a_json_string(texts: list[str | None]) -> None:
    found = escaped(pa.array(texts, pa.utf8())).to_pylist()
    assert [None if text is None else json.loads(f'"{text}"') for text in found] == texts


@settings(deadline=None)
@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1))
def test_times_are_written_to_the_microsecond(times: list[datetime]) -> None:
    written = rfc3339(pa.array(times, TIMESTAMP)).to_pylist()
    assert list(map(datetime.fromisoformat, written)) == times


@settings(deadline=None)
@given(st.lists(st.text() | st.just("long" * 200), unique=True, min_size=1))
def test_document_ids_are_distinct_and_within_the_limit(ids: list[str]) -> None:
    found = document_ids(pa.array(ids, pa.utf8())).to_pylist()
    assert len(set(found)) == len(ids)
    assert all(0 < len(name.encode()) <= LONGEST_ID for name in found)


def test_an_event_id_that_looks_like_a_digest_does_not_collide_with_it() -> None:
    [digest] = document_ids(pa.array(["long" * 200])).to_pylist()
    assert document_ids(pa.array([digest])).to_pylist() != [digest]


def test_bodies_stay_below_their_size_and_have_every_event_in_order() -> None:
    events = [
        event(number, data=json.dumps({"w": "w" * (number % 900)})) for number in range(1, 400)
    ]
    found = list(bodies(table(events), INDEX, 20_000, event_documents))
    assert max(len(body.payload()) for body in found) <= 20_000
    assert len(found) > 10
    whole = event_documents(table(events).combine_chunks().to_batches()[0], INDEX).to_pylist()
    assert b"".join(body.payload() for body in found).decode() == "".join(whole)
    assert [body.first for body in found] == [
        sum(map(len, found[:place])) for place in range(len(found))
    ]


def test_an_event_larger_than_a_body_has_its_own_body() -> None:
    events = [event(1), event(2, data=json.dumps("w" * 50_000)), event(3)]
    assert list(map(len, bodies(table(events), INDEX, 10_000, event_documents))) == [1, 1, 1]


def test_a_part_of_a_body_has_the_same_lines() -> None:
    [body] = bodies(table([event(number) for number in range(1, 6)]), INDEX, 2**20, event_documents)
    lines = body.payload().splitlines(keepends=True)
    assert body.take([1, 4]).payload() == b"".join([*lines[2:4], *lines[8:10]])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (r'{"name":"Zo\u00eb","note":"first\nsecond"}', ["Zoë", "first second"]),
        (r'{"half":"\ud83d","plain":"word"}', ["word"]),
    ],
)
def test_search_text_has_unescaped_characters(data: str, found: list[str]) -> None:
    [(_, document)] = lines_of([event(1, data=data, user_id="user-9")])
    for words in (*found, "e-1", "Order", "INSERT", "o-1", "acme", "user-9"):
        assert words in document["text"]
