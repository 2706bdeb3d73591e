from datetime import UTC, date, datetime

import pytest

from flight_service.assets import Asset
from flight_service.dates import beginning, ending
from flight_service.errors import InvalidRequest


def test_a_range_of_dates_includes_its_last_day() -> None:
    assert beginning("2026-01-31", "start") == datetime(2026, 1, 31, tzinfo=UTC)
    assert ending("2026-01-31", "end") == datetime(2026, 2, 1, tzinfo=UTC)


def test_times_are_converted_to_utc() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert beginning("2026-01-31T13:00:00+01:00", "start") == noon
    assert ending("2026-01-31T12:00:00Z", "end") == noon
    assert ending("2026-01-31T12:00:00", "end") == noon


def test_an_absent_date_is_no_bound() -> None:
    assert beginning(None, "start") is None
    assert ending(None, "end") is None


@pytest.mark.parametrize(
    "text", ["yesterday", "", "2026-02-30", "2026-01-31T25:00:00Z", "20260131"]
)
def test_an_invalid_time_names_its_field(text: str) -> None:
    with pytest.raises(InvalidRequest, match="field start_date"):
        beginning(text, "start_date")


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_years_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="outside 1900-01-01 to 2299-12-31"):
        ending(text, "end_date")


def test_a_range_of_partitions_includes_its_first_and_last() -> None:
    ticket = Asset(asset="a", start=date(2026, 1, 2), end=date(2026, 1, 4))
    days = [date(2026, 1, number) for number in range(1, 6)]
    assert [ticket.covers(day) for day in days] == [False, True, True, True, False]
    assert not ticket.whole


def test_one_partition_is_a_range_of_one_day() -> None:
    ticket = Asset(asset="a", partition=date(2026, 1, 2))
    assert ticket.covers(date(2026, 1, 2))
    assert not ticket.covers(date(2026, 1, 3))
    assert Asset(asset="a").whole
