"""The plane of requests for tests that make events.

Before the plane gets an event, the event becomes the request at its position in the log.
"""

from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from request_rows import request as row

from fraiseql_assets.planes import Block, Written
from fraiseql_assets.requests.schema import REQUEST_SCHEMA

REQUEST_PLANE = "operational-requests"
"""The `plane_name` of this plane."""

SHARED = ("timestamp", "tenant_id", "stream_seq", "stream_row", "stream_time")


@pytest.fixture(params=[REQUEST_PLANE])
def plane_name(request: pytest.FixtureRequest) -> str:
    """Overrides the planes of a test that makes events: it runs with requests."""
    return request.param


class OfRequests:
    """A plane of requests, or a replacement of its, that takes events."""

    def __init__(self, inner: Any) -> None:
        self.of_requests = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of_requests, name)

    def write(self, block: Block) -> Written:
        return self.of_requests.write(replace(block, table=as_requests(block.table)))

    def replace(self, day: date) -> "OfRequests":
        return OfRequests(self.of_requests.replace(day))


def as_requests(events: pa.Table) -> pa.Table:
    rows = [
        row(
            event["stream_seq"],
            request_id=event["event_id"],
            **{name: event[name] for name in SHARED},
        )
        for event in events.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=REQUEST_SCHEMA)
