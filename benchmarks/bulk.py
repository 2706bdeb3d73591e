"""N8: bodies of `_bulk` requests, against `elasticsearch.helpers.streaming_bulk`.

Both sides build requests of the same size from the same block. Nothing is sent: the library's
transport ends at a node that accepts every request. The library needs a dictionary per event. A
second side gets the dictionaries from memory, so that only the library's own work is measured.
"""

import argparse
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders
from elastic_transport._node import NodeApiResponse
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk
from harness import QUICK, ROUNDS, Comparison, alternate, rate, report
from logs import as_stored, events

from fraiseql_assets.operational.bodies import SEARCHED, bodies, event_documents
from fraiseql_assets.settings import Settings

EVENTS = 2_000 if QUICK else 100_000
LIBRARY_EVENTS = EVENTS // 5
"""The library builds fewer documents; the benchmark compares documents per second."""
INDEX = "fraiseql-events-2026.01.01"
MOST = Settings.model_fields["bulk_bytes"].default
GOAL = 10.0


class Nowhere(BaseNode):
    """Accepts every request."""

    def perform_request(self, *args: Any, **kwargs: Any) -> NodeApiResponse:
        del args, kwargs
        headers = HttpHeaders(
            {"x-elastic-product": "Elasticsearch", "content-type": "application/json"}
        )
        meta = ApiResponseMeta(
            node=self.config, duration=0.0, http_version="1.1", status=200, headers=headers
        )
        return NodeApiResponse(meta, b'{"errors": false, "items": []}')

    def close(self) -> None:
        """Does nothing: there is no connection."""


def actions(block: pa.Table) -> list[dict[str, Any]]:
    """The library's actions, with the same documents, in the simplest code."""
    return list(map(_action, block.to_pylist()))


def _action(row: dict[str, Any]) -> dict[str, Any]:
    document = {name: value for name, value in row.items() if value is not None}
    document["text"] = " ".join(row[name] or "" for name in (*SEARCHED, "data", "changes"))
    for name in ("data", "changes"):
        if row[name] is not None:
            document[f"{name}_json"] = row[name]
            document[name] = msgspec.json.decode(row[name])
    return {"_op_type": "create", "_index": INDEX, "_id": row["event_id"], "_source": document}


def by_columns(block: pa.Table) -> float:
    """This project: the bytes of each request."""
    return (
        block.num_rows
        if sum(len(body.payload()) for body in bodies(block, INDEX, MOST, event_documents))
        else 0
    )


def by_library(made: Iterable[dict[str, Any]], count: int) -> float:
    """The library."""
    client = Elasticsearch("http://127.0.0.1:1", node_class=Nowhere)
    for _ in streaming_bulk(client, made, chunk_size=count, max_chunk_bytes=MOST):
        pass
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description="N8: request bodies for Elasticsearch.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    block = as_stored(events(EVENTS))
    part = block.slice(0, LIBRARY_EVENTS)
    ready = actions(part)
    sides, load = alternate(
        {
            "built by column": lambda: rate(lambda: by_columns(block)),
            "streaming_bulk, from the block": lambda: rate(
                lambda: by_library(actions(part), LIBRARY_EVENTS)
            ),
            "streaming_bulk, from dictionaries in memory": lambda: rate(
                lambda: by_library(ready, LIBRARY_EVENTS)
            ),
        },
        unit="documents/s",
        rounds=rounds,
    )
    value = sides[0].median / sides[1].median
    measure = (
        "`_bulk` bodies built from a block, against `helpers.streaming_bulk` building the same"
    )
    compared = Comparison("N8", measure, f"≥ {GOAL:g} ×", value, value >= GOAL, sides, load)
    report("bulk", [compared])


if __name__ == "__main__":
    main()
