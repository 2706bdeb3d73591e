"""A reader of one tenant has that tenant's rows alone, and says nothing of the others'."""

from datetime import timedelta

import pytest
from event_tables import DAY, MORNING, block, entry, event

from fraiseql_assets.planes import AssetReader, Plane
from tests.contract.test_reading import TOMORROW, read, sequences

LONG = "t" * 8192
"""Longer than what Elasticsearch indexes."""
TENANTS = ("acme", "globex", None, "", "Acme", LONG)


@pytest.fixture
def shared(plane: Plane) -> None:
    """Sixty events a day on two days, in turn of each tenant."""
    for first, day in ((1, DAY), (61, TOMORROW)):
        numbers = range(first, first + 60)
        plane.record(entry(first, first + 59, day=day))
        events = [
            event(
                number,
                tenant_id=TENANTS[number % len(TENANTS)],
                stream_time=MORNING + (day - DAY) + timedelta(microseconds=number),
            )
            for number in numbers
        ]
        plane.write(block(events, day=day))
        plane.record(entry(first, first + 59, day=day, state="committed", rows=60, messages=60))


def numbers_of(tenant: str | None, first: int = 1, last: int = 120) -> list[int]:
    return [n for n in range(first, last + 1) if TENANTS[n % len(TENANTS)] == tenant]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("tenant", ["acme", "", LONG, "nobody", "' OR 1 = 1 --", "*"])
def test_only_rows_of_the_tenant_are_read_and_counted(reader: AssetReader, tenant: str) -> None:
    own = reader.of_tenant(tenant)
    [asset] = [key for key in reader.assets() if key.endswith("/events")]
    assert sequences(read(own)) == numbers_of(tenant)
    assert sequences(read(own, [TOMORROW])) == numbers_of(tenant, 61)
    assert sequences(read(own, entity_type="Order", limit=3)) == numbers_of(tenant)[:3]
    days = {DAY: numbers_of(tenant, 1, 60), TOMORROW: numbers_of(tenant, 61)}
    assert [(one.day, one.rows, one.bytes) for one in own.partitions(asset)] == [
        (day, len(rows), 0) for day, rows in days.items() if rows
    ]
    assert own.rows(asset, [DAY]) == len(days[DAY])


@pytest.mark.usefixtures("shared")
def test_without_a_tenant_all_rows_are_read_and_counted(reader: AssetReader) -> None:
    both = reader.of_tenant("acme").of_tenant(None)
    [asset] = [key for key in reader.assets() if key.endswith("/events")]
    assert sequences(read(both)) == list(range(1, 121))
    assert both.rows(asset, None) == 120
