"""Reading: what was written, exactly, in the announced schema, narrowed as asked."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from event_tables import DAY, MORNING, block, entry, event, extreme_events, table
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.planes import AssetReader, Plane, PlaneUnavailable
from fraiseql_assets.settings import Settings
from tests.contract.conftest import OPENERS

TOMORROW = DAY + timedelta(days=1)


def read(reader: AssetReader, asset: str, *args: Any, **narrowed: Any) -> pa.Table:
    """Events as the reader gives them, in the log's order."""
    batches = list(reader.batches(asset, *args, **narrowed))
    assert all(batch.schema.equals(reader.schema(asset)) for batch in batches)
    assert all(batch.num_rows for batch in batches)
    order = [("stream_seq", "ascending"), ("stream_row", "ascending")]
    return pa.Table.from_batches(batches, reader.schema(asset)).sort_by(order)


def sequences(found: pa.Table) -> list[int]:
    return found["stream_seq"].to_pylist()


@examples(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=extreme_events())
def test_every_value_of_a_column_round_trips(
    plane: Plane, reader: AssetReader, asset: str, events: list[dict[str, Any]]
) -> None:
    replacement = plane.replace(DAY)
    written = replacement.write(block(events))
    assert (written.rows, written.duplicates, written.refused) == (len(events), 0, [])
    last = 2**63 - 1
    replacement.swap(entry(1, last, state="committed", kind="partition", rows=len(events)))
    assert read(reader, asset).equals(table(events))
    assert pa.Table.from_batches(plane.events(DAY, last), EVENT_SCHEMA).equals(table(events))


def test_the_schema_of_rows_is_that_of_the_asset(
    plane: Plane, reader: AssetReader, asset: str
) -> None:
    assert reader.schema(asset).equals(plane.dataset.schema)


def test_an_empty_plane_has_no_rows(reader: AssetReader) -> None:
    for asset in reader.assets():
        assert list(reader.batches(asset)) == []
        assert list(reader.batches(asset, [DAY])) == []
        assert list(reader.batches(asset, [])) == []
        assert reader.partitions(asset) == []


def fill_two_days(plane: Plane) -> None:
    """Sequences 1 to 300 on the first day, 301 to 400 on the second, refunds among them."""
    kinds = {number: "Refund" if number % 10 == 0 else "Order" for number in range(1, 401)}
    first = [event(number, entity_type=kinds[number]) for number in range(1, 301)]
    second = [
        event(number, entity_type=kinds[number], stream_time=MORNING + timedelta(days=1))
        for number in range(301, 401)
    ]
    plane.record(entry(1, 300))
    plane.write(block(first))
    plane.record(entry(1, 300, state="committed", rows=300, messages=300))
    plane.record(entry(301, 400, day=TOMORROW))
    plane.write(block(second, day=TOMORROW))
    plane.record(entry(301, 400, day=TOMORROW, state="committed", rows=100, messages=100))


@pytest.fixture(scope="module")
def two_days(module_settings: Settings) -> Iterator[Callable[[str], Plane]]:
    """A function that gives a plane by its name with the two days, which tests only read."""
    opened: dict[str, Plane] = {}

    def plane_of(name: str) -> Plane:
        if name not in opened:
            opened[name] = OPENERS[name](module_settings)
            opened[name].setup()
            fill_two_days(opened[name])
        return opened[name]

    yield plane_of
    for plane in opened.values():
        plane.close()


class OfTwoDays:
    """Tests that read the two days."""

    @pytest.fixture
    def settings(self, module_settings: Settings) -> Settings:
        return module_settings

    @pytest.fixture
    def plane(self, two_days: Callable[[str], Plane], plane_name: str) -> Plane:
        return two_days(plane_name)


class TestNarrowed(OfTwoDays):
    """The two days, narrowed."""

    def test_all_events_are_read(self, reader: AssetReader, asset: str) -> None:
        assert sequences(read(reader, asset)) == list(range(1, 401))

    def test_events_are_read_by_day(self, reader: AssetReader, asset: str) -> None:
        for days, expected in (
            ([DAY], range(1, 301)),
            ([TOMORROW], range(301, 401)),
            ([TOMORROW, DAY, DAY], range(1, 401)),
            ([TOMORROW + timedelta(days=9)], range(0)),
            ([], range(0)),
        ):
            assert sequences(read(reader, asset, days)) == list(expected)

    def test_events_are_read_by_time_without_the_end(self, reader: AssetReader, asset: str) -> None:
        start, end = (MORNING + timedelta(seconds=number) for number in (20, 30))
        assert sequences(read(reader, asset, start=start, end=end)) == list(range(20, 30))

    def test_events_are_read_by_time_to_the_microsecond(
        self, reader: AssetReader, asset: str
    ) -> None:
        moment, tick = MORNING + timedelta(seconds=20), timedelta(microseconds=1)
        assert sequences(read(reader, asset, start=moment, end=moment + tick)) == [20]
        assert sequences(read(reader, asset, start=moment + tick, end=moment + 2 * tick)) == []
        assert sequences(read(reader, asset, start=moment - tick, end=moment)) == []

    def test_the_number_of_events_is_limited(self, reader: AssetReader, asset: str) -> None:
        for limit in (1, 150, 350, 1_000):
            assert read(reader, asset, limit=limit).num_rows == min(limit, 400)

    def test_events_are_read_up_to_a_sequence_in_order_of_the_log(self, plane: Plane) -> None:
        batches = list(plane.events(DAY, 250))
        assert [n for batch in batches for n in batch["stream_seq"].to_pylist()] == list(
            range(1, 251)
        )

    def test_a_reader_closed_early_leaves_the_plane_usable(
        self, plane: Plane, reader: AssetReader, asset: str
    ) -> None:
        batches: Any = reader.batches(asset)
        next(batches)
        batches.close()
        assert plane.count(DAY).rows == 300

    def test_partitions_are_listed_with_their_rows(
        self, plane: Plane, reader: AssetReader, asset: str
    ) -> None:
        found = reader.partitions(asset)
        assert [(stats.day, stats.rows) for stats in found] == [(DAY, 300), (TOMORROW, 100)]
        assert [stats.materialised_at for stats in found] == [e.at for e in plane.ledger("log")]

    def test_partitions_have_their_bytes(self, reader: AssetReader, asset: str) -> None:
        # Elasticsearch remembers the size of a shard for ten seconds.
        deadline = time.monotonic() + 15
        while not all(sizes := [stats.bytes for stats in reader.partitions(asset)]):
            assert time.monotonic() < deadline, sizes
            time.sleep(0.25)
        assert len(sizes) == 2


class TestNarrowedByEntityType(OfTwoDays):
    """The two days, narrowed by a column that requests do not have."""

    def test_events_are_read_by_entity_type(self, reader: AssetReader, asset: str) -> None:
        assert sequences(read(reader, asset, entity_type="Refund")) == list(range(10, 401, 10))

    def test_filters_are_combined(self, reader: AssetReader, asset: str) -> None:
        found = read(
            reader,
            asset,
            [DAY],
            entity_type="Refund",
            start=MORNING + timedelta(seconds=50),
            limit=3,
        )
        assert sequences(found) == [50, 60, 70]


def test_counting_ends_when_its_call_is_cancelled(reader: AssetReader, asset: str) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    for own in (reader, reader.of_tenant("acme")):
        with pytest.raises(PlaneUnavailable):
            own.partitions(asset, cancellation=cancellation)
        with pytest.raises(PlaneUnavailable):
            own.rows(asset, None, cancellation=cancellation)
