"""What the event sensors report about messages of days without a partition."""

from datetime import UTC, date, datetime, timedelta

from sensors.ingestion import is_run_id, outside_partitions

TODAY = datetime.now(UTC).date()
FIRST = date(2026, 1, 1)


def test_a_run_is_requested_for_a_day_with_a_partition() -> None:
    assert outside_partitions(TODAY, FIRST) is None
    assert outside_partitions(FIRST, FIRST) is None


def test_a_message_of_tomorrow_is_skipped_with_the_reason() -> None:
    reason = outside_partitions(TODAY + timedelta(days=2), FIRST)
    assert reason is not None
    assert "the clock of NATS is ahead" in reason


def test_a_message_before_the_first_partition_names_the_setting() -> None:
    reason = outside_partitions(date(2025, 12, 31), FIRST)
    assert reason is not None
    assert "FRAISEQL_FIRST_DAY=2025-12-31" in reason


def test_entries_of_replays_and_erasures_are_not_taken_for_another_instance() -> None:
    assert is_run_id("7e99ce6d-d555-4c41-a3b4-4b07d7e76b56")
    assert not is_run_id("erase")
