"""Requests are written and replaced as exactly as events, by the same tests.

The tests make events. See `request_plane` for how they become requests.
"""

from request_plane import plane_name  # noqa: F401 - its fixture
from test_replacement import (  # noqa: F401 - the contract of events, held by requests
    filled,
    test_a_block_removed_by_a_replacement_can_be_written_again,
    test_a_day_can_be_replaced_by_nothing,
    test_a_new_day_appears_at_once,
    test_a_range_written_during_a_replacement_is_not_lost,
    test_a_reader_never_sees_a_partial_or_empty_day,
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
