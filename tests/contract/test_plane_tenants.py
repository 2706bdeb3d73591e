"""A reader of one tenant returns and counts only that tenant's rows."""

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
def test_only_rows_of_the_tenant_are_read_and_counted(reader: AssetReader, asset: str) -> None:
    for tenant in ("acme", "", LONG, "nobody", "' OR 1 = 1 --", "*"):
        own = reader.of_tenant(tenant)
        assert sequences(read(own, asset)) == numbers_of(tenant)
        assert sequences(read(own, asset, [TOMORROW])) == numbers_of(tenant, 61)
        assert sequences(read(own, asset, limit=3)) == numbers_of(tenant)[:3]
        days = {DAY: numbers_of(tenant, 1, 60), TOMORROW: numbers_of(tenant, 61)}
        assert [(one.day, one.rows, one.bytes) for one in own.partitions(asset)] == [
            (day, len(rows), 0) for day, rows in days.items() if rows
        ]
        assert own.rows(asset, [DAY]) == len(days[DAY])


@pytest.mark.usefixtures("shared")
def test_rows_of_a_tenant_are_read_by_entity_type(reader: AssetReader, asset: str) -> None:
    own = reader.of_tenant("acme")
    assert sequences(read(own, asset, entity_type="Order", limit=3)) == numbers_of("acme")[:3]
    assert sequences(read(own, asset, entity_type="Refund")) == []


@pytest.mark.usefixtures("shared")
def test_without_a_tenant_all_rows_are_read_and_counted(reader: AssetReader, asset: str) -> None:
    both = reader.of_tenant("acme").of_tenant(None)
    assert sequences(read(both, asset)) == list(range(1, 121))
    assert both.rows(asset, None) == 120
