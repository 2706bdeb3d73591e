"""Requests are written and replaced as exactly as events, by the same tests.

The tests make events. Before the plane gets them, each becomes the request at its place in the log.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from request_rows import request
from test_replacement import (  # noqa: F401 - the contract of events, held by requests
    filled,
    test_a_block_removed_by_a_replacement_can_be_written_again,
    test_a_day_can_be_replaced_by_nothing,
    test_a_new_day_appears_at_once,
    test_a_range_written_during_a_replacement_is_not_lost,
    test_a_superseded_replacement_is_not_swapped,
    test_a_swap_replaces_rows_and_ledger_entries,
    test_an_abandoned_replacement_keeps_the_old_day,
    test_events_written_after_the_swap_join_the_new_day,
    test_other_days_and_streams_are_unchanged,
    test_remains_of_a_killed_replacement_are_dropped_by_the_next,
    test_rows_of_only_the_old_day_are_removed,
)
from test_writing import (  # noqa: F401 - the contract of events, held by requests
    test_a_block_is_written_completely,
    test_a_day_without_events_has_no_rows,
    test_a_replayed_event_that_a_rebuild_wrote_is_stored_once,
    test_a_replayed_event_that_the_day_lacks_is_written,
    test_a_retried_block_has_the_same_counts,
    test_a_retried_block_keeps_its_counts_after_later_duplicates,
    test_an_event_repeated_in_a_later_block_is_stored_once,
    test_an_event_repeated_in_another_range_is_stored_once,
    test_an_event_twice_in_a_block_is_stored_once,
    test_rows_of_one_message_are_distinct,
    test_the_same_id_on_another_day_is_another_event,
)

from fraiseql_assets.datasets import REQUESTS
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.planes import Block, Written
from fraiseql_assets.requests.schema import REQUEST_SCHEMA
from fraiseql_assets.settings import Settings

SHARED = ("timestamp", "tenant_id", "stream_seq", "stream_row", "stream_time")


class OfRequests:
    """A plane of requests, or a replacement of its, that takes events."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, block: Block) -> Written:
        return self._inner.write(replace(block, table=as_requests(block.table)))

    def replace(self, day: date) -> "OfRequests":
        return OfRequests(self._inner.replace(day))


def as_requests(events: pa.Table) -> pa.Table:
    rows = [
        request(
            event["stream_seq"],
            request_id=event["event_id"],
            **{name: event[name] for name in SHARED},
        )
        for event in events.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=REQUEST_SCHEMA)


@pytest.fixture(params=["operational"])
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def plane(settings: Settings) -> Iterator[OfRequests]:
    """The plane of requests, set up and empty."""
    with closing(OperationalPlane(settings, REQUESTS)) as plane:
        plane.setup()
        yield OfRequests(plane)
