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
    test_a_block_whose_rows_went_with_the_old_day_is_written_anew,
    test_a_day_can_be_replaced_by_nothing,
    test_a_day_that_was_not_there_is_there_at_once,
    test_a_range_that_came_meanwhile_is_not_lost,
    test_a_replacement_whose_place_another_has_taken_is_not_swapped_in,
    test_an_abandoned_replacement_leaves_the_old_day,
    test_events_written_after_the_swap_join_the_new_day,
    test_other_days_and_streams_are_left_alone,
    test_the_new_day_takes_the_old_ones_place_in_rows_and_ledger,
    test_what_a_killed_replacement_left_behind_is_dropped_by_the_next,
    test_what_was_in_the_old_day_alone_is_gone,
)
from test_writing import (  # noqa: F401 - the contract of events, held by requests
    test_a_block_is_held_whole,
    test_a_day_without_events_counts_nothing,
    test_a_replayed_event_that_a_rebuild_brought_meanwhile_is_held_once,
    test_a_replayed_event_that_the_day_lacks_is_written,
    test_a_retried_block_whose_events_came_again_since_keeps_its_own,
    test_an_event_again_in_a_later_block_of_its_range_is_held_once,
    test_an_event_again_in_another_range_is_held_once,
    test_an_event_twice_in_a_block_is_held_once,
    test_rows_of_one_message_are_told_apart,
    test_the_same_block_again_counts_as_it_did,
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
