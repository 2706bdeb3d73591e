"""The aggregations of counts, and responses as Arrow."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from fraiseql_assets.events.schema import TIMESTAMP
from fraiseql_assets.operational.search.request import Counts
from fraiseql_assets.operational.search.schema import COUNT_SCHEMA, HIT_SCHEMA, STORED_AS

GROUPS = 1_000


def hit_batch(
    hits: list[dict[str, Any]], cursor: str | None, missing: Sequence[str] = ()
) -> pa.RecordBatch:
    """The hits of a page in `HIT_SCHEMA`, the cursor in the last."""
    rows = [{**_row(hit), "missing": missing or None} for hit in hits]
    if rows:
        rows[-1]["cursor"] = cursor
    arrays: list[pa.Array] = []
    for field in HIT_SCHEMA:
        values = [row.get(field.name) for row in rows]
        if field.type == TIMESTAMP:
            arrays.append(pa.array(values, pa.utf8()).cast(TIMESTAMP))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=HIT_SCHEMA)


def _row(hit: dict[str, Any]) -> dict[str, Any]:
    row = dict(hit["_source"])
    for name, stored in STORED_AS.items():
        row[name] = row.get(stored)
    is_request = "request_id" in row
    row["kind"] = "request" if is_request else "event"
    row["id"] = row["request_id"] if is_request else row["event_id"]
    row["highlights"] = (hit.get("highlight") or {}).get("text")
    return row


def count_batch(aggregations: dict[str, Any], missing: Sequence[str] = ()) -> pa.RecordBatch:
    """The groups of a search that counts, in `COUNT_SCHEMA`."""
    rows = [{**group, "missing": missing or None} for group in _groups(aggregations)]
    return pa.RecordBatch.from_pylist(rows, schema=COUNT_SCHEMA)


def _groups(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, group in found.items():
        for bucket in group.get("groups", group).get("buckets", ()):
            if "inner" in bucket:
                for inner in bucket["inner"]["buckets"]:
                    key = f"{bucket['key']}.{inner['key']}"
                    yield {"kind": kind, "key": key, "count": inner["doc_count"]}
                continue
            key = bucket.get("key_as_string", bucket["key"])
            yield {"kind": kind, "key": str(key), "count": bucket["doc_count"]}


def _terms(field: str) -> dict[str, Any]:
    return {"terms": {"field": field, "size": GROUPS}}


def _of_each_kind(groups: dict[str, Any]) -> dict[str, Any]:
    """Groups of the events, and groups of the requests."""
    return {
        kind: {"filter": {"exists": {"field": f"{kind}_id"}}, "aggs": {"groups": groups}}
        for kind in ("event", "request")
    }


_HOURS = {"date_histogram": {"field": "timestamp", "fixed_interval": "1h", "min_doc_count": 1}}
AGGREGATIONS: dict[Counts, dict[str, Any]] = {
    Counts.error: {"request": _terms("error_codes")},
    Counts.type: {
        "event": {**_terms("entity_type"), "aggs": {"inner": _terms("event_type")}},
        "request": _terms("operation_type"),
    },
    Counts.hour: _of_each_kind(_HOURS),
    Counts.tenant: _of_each_kind(_terms("tenant_id")),
    Counts.operation: {"request": _terms("operation_name")},
}
"""The aggregation of each way to count."""
