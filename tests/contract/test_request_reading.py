"""Requests are read, listed and recorded in the ledger as events are, by the same tests.

The tests make events. See `request_plane` for how they become requests.
"""

from typing import Any

import pyarrow as pa
from event_tables import DAY, STREAM, entry
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from request_plane import plane_name  # noqa: F401 - its fixture
from request_rows import extreme_requests
from test_ledger import (  # noqa: F401 - the contract of events, held by requests
    test_a_compacted_day_is_one_entry_with_the_sums_of_all,
    test_adjacent_ranges_are_combined,
    test_an_entry_round_trips,
    test_entries_of_days_past_their_retention_are_deleted,
    test_entries_of_streams_and_days_are_separate,
    test_entries_within_a_recorded_replacement_are_ignored,
)
from test_plane_tenants import (  # noqa: F401 - the contract of events, held by requests
    shared,
    test_only_rows_of_the_tenant_are_read_and_counted,
    test_without_a_tenant_all_rows_are_read_and_counted,
)
from test_reading import (  # noqa: F401 - the contract of events, held by requests
    TestNarrowed,
    read,
    test_an_empty_plane_has_no_rows,
    test_the_schema_of_rows_is_that_of_the_asset,
    two_days,
)
from test_set_up import (  # noqa: F401 - the contract of events, held by requests
    test_a_plane_without_setup_is_reported,
    test_a_second_setup_changes_nothing,
)

from fraiseql_assets.planes import AssetReader, Block
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.requests.schema import REQUEST_SCHEMA


@examples(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests=extreme_requests())
def test_every_value_of_a_request_round_trips(
    plane: Any, reader: AssetReader, asset: str, requests: list[dict[str, Any]]
) -> None:
    rows = pa.Table.from_pylist(requests, schema=REQUEST_SCHEMA)
    sequences = SequenceRange(requests[0]["stream_seq"], requests[-1]["stream_seq"])
    replacement = plane.of_requests.replace(DAY)
    written = replacement.write(Block(rows, STREAM, sequences, DAY, 0, "token"))
    assert (written.rows, written.duplicates, written.refused) == (len(requests), 0, [])
    last = 2**63 - 1
    replacement.swap(entry(1, last, state="committed", kind="partition", rows=len(requests)))
    assert read(reader, asset).equals(rows)
    assert pa.Table.from_batches(plane.events(DAY, last), REQUEST_SCHEMA).equals(rows)
