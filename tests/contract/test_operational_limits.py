"""The operational plane at the limits of its server: years, names, the size of its ledger."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from event_tables import DAY, STREAM, block, entry, event
from pydantic import ValidationError

from fraiseql_assets.operational.client import connect
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.settings import Settings

ASSET = "operational/events"


@pytest.fixture
def plane(settings: Settings) -> Iterator[OperationalPlane]:
    """The plane, set up and empty."""
    with closing(OperationalPlane(settings)) as plane:
        plane.setup()
        yield plane


def test_ledger_entries_are_deleted_without_delete_by_query(plane: OperationalPlane) -> None:
    for number in (1, 2):
        plane.write(block([event(number)]))
        plane.record(entry(number, number, state="committed", rows=1, messages=1))
    later = DAY + timedelta(days=1000)
    assert any("2 entries" in line for line in plane.enforce_retention(later))
    assert plane.ledger(STREAM) == []


def test_events_of_years_before_1000_are_read(plane: OperationalPlane, settings: Settings) -> None:
    years = (1, 37, 999)
    plane.write(block([event(y, timestamp=datetime(y, 6, 1, tzinfo=UTC)) for y in years]))
    reader = OperationalReader(settings)

    def between(start: datetime, end: datetime) -> list[int]:
        batches = reader.batches(ASSET, start=start, end=end)
        return [n for batch in batches for n in batch["stream_seq"].to_pylist()]

    for year in years:
        start = datetime(year, 1, 1, tzinfo=UTC)
        assert between(start, start.replace(month=12)) == [year]
        assert between(start, start.replace(month=2)) == []


def test_an_entity_type_too_long_for_the_index_is_found_by_its_filter(
    plane: OperationalPlane, settings: Settings
) -> None:
    types = ["é" * (length - 1) + last for length in (8191, 8192, 20_000) for last in "ab"]
    plane.write(block([event(n, entity_type=one) for n, one in enumerate(types, start=1)]))
    reader = OperationalReader(settings)
    for number, sought in enumerate(types, start=1):
        batches = reader.batches(ASSET, entity_type=sought)
        found = [n for batch in batches for n in batch["stream_seq"].to_pylist()]
        assert found == [number]


def test_an_index_prefix_that_is_too_long_is_refused_before_setup() -> None:
    with pytest.raises(ValidationError, match="index_prefix"):
        Settings(index_prefix="x" * 201)


def test_the_longest_index_prefix_gives_valid_names(settings: Settings) -> None:
    longest = settings.index_prefix + "x" * (200 - len(settings.index_prefix))
    with closing(OperationalPlane(settings.model_copy(update={"index_prefix": longest}))) as plane:
        plane.setup()
        assert plane.write(block([event(1)])).rows == 1
        assert plane.count(DAY).rows == 1


def test_filtered_batches_have_the_full_schema(plane: OperationalPlane, settings: Settings) -> None:
    plane.write(block([event(1)]))
    reader = OperationalReader(settings)
    batches = list(reader.batches(ASSET, entity_type="Order", limit=1))
    assert pa.Table.from_batches(batches).schema.equals(reader.schema(ASSET))


def test_the_memory_limit_of_the_embedded_server_ignores_garbage(settings: Settings) -> None:
    """Its limit is then a share of the heap, 70 %; by the memory in use it would be 95 %."""
    with connect(settings, timeout=30) as client:
        nodes = client.nodes.stats(metric=["breaker", "jvm"])["nodes"]
    [node] = nodes.values()
    limit = node["breakers"]["parent"]["limit_size_in_bytes"]
    assert limit <= 0.71 * node["jvm"]["mem"]["heap_max_in_bytes"]
