"""Typical queries: every relevant document of a fixed corpus is on the first page.

The corpus is older than the thousands of ordinary events and requests around it, so a search that
finds too much shows none of it: hits are sorted by time, newest first.
"""

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from event_tables import DAY, MORNING, block, event
from pydantic import SecretStr
from request_rows import index_requests, request

from fraiseql_assets.events.generate import generate
from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.search.engine import Search
from fraiseql_assets.operational.search.request import SearchRequest
from fraiseql_assets.settings import Settings
from tests.separate_names import drop_indices

CORPUS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "relevance.json").read_text()
)
OTHER_EVENTS, OTHER_REQUESTS = 3_000, 300
PAGE = 50
"""Hits on a page of the command line."""
LATER = MORNING + timedelta(hours=1)


def as_json(document: dict[str, Any]) -> dict[str, Any]:
    """The document's columns, its objects as JSON text."""
    return {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in document.items()
        if name != "kind"
    }


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [as_json(made) for made in CORPUS["documents"] if made["kind"] == kind]


def other_events(first: int) -> Iterator[dict[str, Any]]:
    [batch] = generate(OTHER_EVENTS, seed=99, start=LATER)
    for number, row in enumerate(batch.to_pylist(), first):
        yield {**row, "stream_seq": number, "stream_row": 0, "stream_time": LATER}


@pytest.fixture(scope="module")
def filled(elasticsearch_url: str) -> Iterator[Settings]:
    """Settings under which the corpus is indexed among the others, once for the module."""
    settings = Settings(
        elasticsearch_url=SecretStr(elasticsearch_url), index_prefix=f"test-{secrets.token_hex(4)}"
    )
    plane = OperationalPlane(settings)
    plane.setup()
    relevant = [event(number, **row) for number, row in enumerate(of_kind("event"), 1)]
    plane.write(block([*relevant, *other_events(len(relevant) + 1)]))
    plane.count(DAY)
    failed = [
        request(number, status="error", **row) for number, row in enumerate(of_kind("request"))
    ]
    others = [
        request(number, timestamp=LATER, operation_name=f"Page{number % 9}")
        for number in range(100, 100 + OTHER_REQUESTS)
    ]
    index_requests(settings, [*failed, *others])
    yield settings
    plane.close()
    drop_indices(elasticsearch_url, settings.index_prefix)


@pytest.mark.parametrize("query", CORPUS["queries"], ids=lambda query: query["asked"])
def test_every_relevant_hit_is_on_the_first_page(query: dict[str, Any], filled: Settings) -> None:
    page = Search(filled).hits(SearchRequest(query=query["asked"], limit=PAGE), tenant=None)
    assert set(query["relevant"]) <= set(page["id"].to_pylist())
    for fragments in page["highlights"].to_pylist():
        assert any("<em>" in fragment for fragment in fragments)


def text_of(settings: Settings, kind: str, name: str) -> str:
    """The text of a document, as the server stores it."""
    with connect(settings, timeout=30) as client:
        alias = f"{settings.index_prefix}-{kind}s"
        found = client.search(index=alias, query={"term": {f"{kind}_id": name}})
    [hit] = found["hits"]["hits"]
    return hit["_source"]["text"]


@pytest.mark.parametrize(
    ("kind", "name", "order"),
    [
        (
            *("event", "customer-renamed"),
            ("CustomerAccount", "INSERT", "c-4712", "acme", "customer-renamed", "Jean", "Monsieur"),
        ),
        (
            *("request", "pay-error"),
            ("The card", "PAYMENT_DECLINED", "PayOrder", "acme", "pay-error", "8f14e45f", "query"),
        ),
    ],
)
def test_search_text_has_names_then_ids_then_values(
    kind: str, name: str, order: tuple[str, ...], filled: Settings
) -> None:
    text = text_of(filled, kind, name)
    places = [text.index(words) for words in order[:-1]] + [text.rindex(order[-1])]
    assert places == sorted(places)
