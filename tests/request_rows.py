"""GraphQL requests as the log stores them, and a day of them in the search engine."""

import copy
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
from event_tables import AWKWARD_JSON, DAY, MORNING, json_texts, numbers, texts, times
from hypothesis import strategies as st

from fraiseql_assets.operational.client import connect, definition
from fraiseql_assets.operational.engine import is_opensearch
from fraiseql_assets.operational.request_bodies import request_documents
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.settings import Settings


def request(number: int, **fields: Any) -> dict[str, Any]:
    """The successful request at a sequence of the log. Each sequence has a different id."""
    return {
        "request_id": f"r-{number}",
        "timestamp": MORNING + timedelta(minutes=number),
        "operation_type": "query",
        "operation_name": "OrderPage",
        "query": "query OrderPage($id: ID!) { order(id: $id) { total } }",
        "query_hash": "0" * 64,
        "variables": json.dumps({"id": f"o-{number}"}),
        "tenant_id": "acme",
        "transport": "http",
        "status": "ok",
        "error_codes": [],
        "error_messages": [],
        "duration_ms": float(number),
        "stream_seq": number,
        "stream_row": 0,
        "stream_time": MORNING,
        **fields,
    }


def failure(
    number: int, message: str, code: str = "DATABASE_ERROR", **fields: Any
) -> dict[str, Any]:
    """A request that failed with one error."""
    errors = {"error_codes": [code], "error_messages": [message], "status": "error"}
    return request(number, **errors, **fields)


@st.composite
def extreme_requests(draw: st.DrawFn, most: int = 6) -> list[dict[str, Any]]:
    """Requests with any values that their columns allow, at ascending log positions."""
    first = draw(st.sampled_from([1, 2**53 - 1, 2**62]))
    ids = draw(st.lists(texts, min_size=1, max_size=most, unique=True))
    required = ("operation_type", "query", "query_hash", "transport", "status")
    optional = ("operation_name", "user_id", "tenant_id", "trace_id")
    return [
        {
            "request_id": name,
            "timestamp": draw(times),
            **{column: draw(texts) for column in required},
            **{column: draw(st.none() | texts) for column in optional},
            "variables": draw(st.none() | json_texts | st.sampled_from(AWKWARD_JSON)),
            "error_codes": draw(st.lists(texts, max_size=2)),
            "error_messages": draw(st.lists(texts, max_size=2)),
            "duration_ms": draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
            "rows": draw(numbers),
            "bytes": draw(numbers),
            "stream_seq": first + number,
            "stream_row": 0,
            "stream_time": MORNING + timedelta(microseconds=number),
        }
        for number, name in enumerate(ids)
    ]


def index_requests(settings: Settings, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the requests into one day's index, and makes them visible."""
    [batch] = pa.Table.from_pylist(list(rows), schema=REQUEST_SCHEMA).to_batches()
    alias = f"{settings.index_prefix}-requests"
    index = f"{alias}-{DAY:%Y.%m.%d}-000001"
    made = copy.deepcopy(definition("requests"))
    with connect(settings, timeout=30) as client:
        if is_opensearch(client):
            made["mappings"]["properties"]["variables"] = {"type": "flat_object"}
        client.indices.create(index=index, aliases={alias: {}}, **made)
        lines = "".join(request_documents(batch, index).to_pylist()).splitlines()
        answer = client.bulk(operations=[json.loads(line) for line in lines], refresh=True)
    assert not answer["errors"], answer
