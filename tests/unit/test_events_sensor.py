"""What the sensors of the events say of messages that no partition is for."""

from datetime import UTC, date, datetime, timedelta

from sensors.events import is_run_id, outside_partitions

TODAY = datetime.now(UTC).date()
FIRST = date(2026, 1, 1)


def test_a_day_with_a_partition_is_asked_for() -> None:
    assert outside_partitions(TODAY, FIRST) is None
    assert outside_partitions(FIRST, FIRST) is None


def test_a_message_of_tomorrow_waits_with_the_reason() -> None:
    reason = outside_partitions(TODAY + timedelta(days=2), FIRST)
    assert reason is not None
    assert "the clock of NATS is ahead" in reason


def test_a_message_older_than_the_partitions_says_what_to_set() -> None:
    reason = outside_partitions(date(2025, 12, 31), FIRST)
    assert reason is not None
    assert "FRAISEQL_FIRST_DAY=2025-12-31" in reason


def test_entries_of_replays_and_erasures_are_no_other_instance() -> None:
    assert is_run_id("7e99ce6d-d555-4c41-a3b4-4b07d7e76b56")
    assert not is_run_id("erase")
