"""Aggregates equal those that are computed from the raw rows, after every kind of write.

All tests share the comparison with the raw rows, so the file is longer than others.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from event_tables import DAY, MORNING, block, entry, event
from failing_steps import StepFailed, StepFailure

from fraiseql_assets.analytics.client import connect, sql
from fraiseql_assets.analytics.layout import Layout
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.analytics.setup import AGGREGATES
from fraiseql_assets.pipeline.job import Report
from fraiseql_assets.planes import AssetReader
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

Row = dict[str, Any]
TOMORROW = DAY + timedelta(days=1)


@pytest.fixture(params=["analytics"])
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param


def read(reader: AssetReader, name: str, days: Sequence[date] | None = None) -> list[Row]:
    asset = f"analytics/{name}"
    batches = list(reader.batches(asset, days))
    assert all(batch.schema.equals(reader.schema(asset)) for batch in batches)
    return pa.Table.from_batches(batches, reader.schema(asset)).to_pylist()


def grouped(rows: Sequence[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def hour_of(row: Row) -> Any:
    return row["timestamp"].astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def distinct(rows: Sequence[Row], *columns: str) -> int:
    values = {tuple(row[column] for column in columns) for row in rows}
    return len(values - {(None,)})


def hourly(rows: Sequence[Row]) -> list[Row]:
    return [
        {
            "hour": hour,
            "entity_type": entity_type,
            "event_type": event_type,
            "event_count": len(group),
            "unique_entities": distinct(group, "entity_id"),
        }
        for (hour, entity_type, event_type), group in grouped(
            rows, lambda row: (hour_of(row), row["entity_type"], row["event_type"])
        ).items()
    ]


def daily(rows: Sequence[Row]) -> list[Row]:
    return [
        {
            "day": day,
            "tenant_id": tenant,
            "event_count": len(group),
            "unique_entities": distinct(group, "entity_type", "entity_id"),
            "unique_users": distinct(group, "user_id"),
            "entity_types": sorted({row["entity_type"] for row in group}),
            **{
                f"{name}_count": sum(row["event_type"] == kind for row in group)
                for name, kind in (
                    *(("created", "INSERT"), ("updated", "UPDATE"), ("deleted", "DELETE")),
                )
            },
        }
        for (day, tenant), group in grouped(
            rows, lambda row: (row["timestamp"].astimezone(UTC).date(), row["tenant_id"])
        ).items()
    ]


def stats(rows: Sequence[Row]) -> list[Row]:
    found = []
    for (hour, event_type), group in grouped(
        rows, lambda row: (hour_of(row), row["event_type"])
    ).items():
        times = [row["timestamp"] for row in group]
        took = [row["duration_ms"] for row in group if row["duration_ms"] is not None]
        found.append(
            {
                "hour": hour,
                "event_type": event_type,
                "event_count": len(group),
                "events_per_second": len(group) / 3600,
                "unique_entities": distinct(group, "entity_type", "entity_id"),
                "first_seen": min(times),
                "last_seen": max(times),
                "mean_duration_ms": sum(took) / len(took) if took else None,
                "max_duration_ms": max(took) if took else None,
            }
        )
    return found


EXPECTED = {"events_hourly": hourly, "org_daily": daily, "event_type_stats": stats}


def by_key(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


def assert_equal_to_raw_rows(reader: AssetReader) -> int:
    """Compares every aggregate with the events; returns how many there are."""
    events = read(reader, "events")
    for name, expected in EXPECTED.items():
        assert by_key(read(reader, name)) == by_key(expected(events)), name
    return len(events)


def varied(numbers: Sequence[int], **fields: Any) -> list[Row]:
    """Events of several hours, kinds, entities, tenants and users, some of them none."""
    return [
        event(
            number,
            event_type=("INSERT", "UPDATE", "DELETE", "CUSTOM")[number % 4],
            entity_type=("Order", "Refund")[number % 2],
            tenant_id=("acme", "globex", None)[number % 3],
            user_id=(None, "ann", "bob")[number % 3],
            duration_ms=None if number % 5 == 0 else number,
            timestamp=MORNING - timedelta(hours=number % 50, microseconds=number),
            **fields,
        )
        for number in numbers
    ]


def test_aggregates_are_exact_after_retries_and_duplicates(
    plane: AnalyticsPlane, reader: AssetReader
) -> None:
    first, second = block(varied(range(1, 101))), block(varied(range(101, 151)))
    for written in (first, second, first, second):
        plane.write(written)
    again = varied(range(151, 161))
    for number, row in enumerate(again):
        row["event_id"] = f"e-{number + 1}"
    plane.write(block(again))
    assert assert_equal_to_raw_rows(reader) == 150
    assert set(plane.compare_aggregates(DAY).values()) == {150}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_partition_has_the_events_stored_on_its_day(
    name: str, plane: AnalyticsPlane, reader: AssetReader
) -> None:
    # Both have events of the same hours, so that rows of the partitions are merged in the whole.
    plane.write(block(varied(range(1, 101))))
    plane.write(
        block(varied(range(101, 151), stream_time=MORNING + timedelta(days=1)), day=TOMORROW)
    )
    asset, expected, events = f"analytics/{name}", EXPECTED[name], read(reader, "events")
    stored = dict(sorted(grouped(events, lambda row: row["stream_time"].date()).items()))
    assert [*stored] == [DAY, TOMORROW]
    for day, rows in stored.items():
        assert by_key(read(reader, name, [day])) == by_key(expected(rows))
        assert plane.aggregate_rows(day)[name] == len(expected(rows))
    counted = [(partition.day, partition.rows) for partition in reader.partitions(asset)]
    assert counted == [(day, len(expected(rows))) for day, rows in stored.items()]
    for days in (None, [DAY, TOMORROW]):
        assert by_key(read(reader, name, days)) == by_key(expected(events))
        assert reader.rows(asset, days) == len(expected(events)) < sum(n for _, n in counted)


@pytest.mark.parametrize("tenant", ["acme", "nobody"])
@pytest.mark.parametrize("name", EXPECTED)
def test_aggregates_of_a_tenant_count_its_own_events(
    name: str, tenant: str, plane: AnalyticsPlane, reader: AssetReader
) -> None:
    plane.write(block(varied(range(1, 101))))
    plane.write(
        block(varied(range(101, 151), stream_time=MORNING + timedelta(days=1)), day=TOMORROW)
    )
    expected, own = EXPECTED[name], reader.of_tenant(tenant)
    events = [row for row in read(reader, "events") if row["tenant_id"] == tenant]
    stored = dict(sorted(grouped(events, lambda row: row["stream_time"].date()).items()))
    partitions = own.partitions(f"analytics/{name}")
    assert [(partition.day, partition.rows, partition.bytes) for partition in partitions] == [
        (day, len(expected(rows)), 0) for day, rows in stored.items()
    ]
    for day, rows in stored.items():
        assert by_key(read(own, name, [day])) == by_key(expected(rows))
    for days in (None, [DAY, TOMORROW]):
        assert by_key(read(own, name, days)) == by_key(expected(events))
        assert own.rows(f"analytics/{name}", days) == len(expected(events))


def test_aggregates_of_distant_dates_are_exact(plane: AnalyticsPlane, reader: AssetReader) -> None:
    times = [
        datetime(1900, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2299, 12, 31, 23, 59, 59, 999_999, UTC),
    ]
    plane.write(block([event(n, timestamp=moment) for n, moment in enumerate(times, 1)]))
    assert assert_equal_to_raw_rows(reader) == 4


def test_sums_of_durations_may_exceed_64_bits(plane: AnalyticsPlane, reader: AssetReader) -> None:
    plane.write(block([event(n, duration_ms=2**63 - 1, timestamp=MORNING) for n in (1, 2, 3)]))
    [row] = read(reader, "event_type_stats")
    assert row["mean_duration_ms"] == float(2**63 - 1)
    assert row["max_duration_ms"] == 2**63 - 1


def test_an_empty_tenant_and_no_tenant_are_two_rows(
    plane: AnalyticsPlane, reader: AssetReader
) -> None:
    tenants = ["", None, "", "acme"]
    plane.write(block([event(n, tenant_id=tenant) for n, tenant in enumerate(tenants, 1)]))
    assert assert_equal_to_raw_rows(reader) == 4
    counts = {row["tenant_id"]: row["event_count"] for row in read(reader, "org_daily")}
    assert counts == {"": 2, None: 1, "acme": 1}


def test_aggregates_of_an_older_release_are_kept_up_to_date(
    settings: Settings, plane_name: str, open_plane: Callable[..., AnalyticsPlane]
) -> None:
    plane = open_plane()
    plane.setup()
    with closing(connect(settings, timeout=30)) as client:
        for name, new in (("org_daily", "tenant_is_empty"), ("event_type_stats", "duration_sum")):
            state = f"fraiseql_{name}_state"
            [keep] = [each for each in AGGREGATES if each.name == name]
            for kind in (f"VIEW fraiseql_{name}", f"VIEW {state}_feed", f"TABLE {state}"):
                client.command(f"DROP {kind} SYNC")
            days = {**Layout().clauses, "retention_aggregate_days": 120}
            client.command(without(new, sql(f"create_{name}", table=state, **days)))
            select = without(new, keep.select("fraiseql_events"))
            if name == "event_type_stats":
                select = select.replace(
                    "maxState(duration_ms)",
                    "sumState(duration_ms) AS total_duration_ms, maxState(duration_ms)",
                )
            client.command(f"CREATE MATERIALIZED VIEW {state}_feed TO {state} AS {select}")
    plane.write(block(varied(range(1, 51))))
    assert any("tenant_is_empty added" in line for line in plane.setup())
    plane.write(block(varied(range(51, 101))))
    plane.setup()
    assert assert_equal_to_raw_rows(AnalyticsReader(settings)) == 100


def without(column: str, statement: str) -> str:
    """A statement as the older release had it, without a column."""
    lines = [line for line in statement.splitlines() if f"{column}" not in line or "BY" in line]
    return "\n".join(lines).replace(f", {column}", "")


def test_aggregates_are_exact_after_replacements(
    plane: AnalyticsPlane, reader: AssetReader
) -> None:
    plane.write(block(varied(range(1, 101))))
    for last in (80, 120):
        replacement = plane.replace(DAY)
        replacement.write(block(varied(range(1, 51))))
        replacement.write(block(varied(range(51, last + 1)), number=1))
        replacement.swap(
            entry(1, last, state="committed", kind="partition", rows=last, messages=last)
        )
        assert assert_equal_to_raw_rows(reader) == last
    plane.write(block(varied(range(121, 131))))
    assert assert_equal_to_raw_rows(reader) == 130


def test_aggregates_are_empty_after_a_replacement_by_nothing(
    plane: AnalyticsPlane, reader: AssetReader
) -> None:
    plane.write(block(varied(range(1, 11))))
    plane.replace(DAY).swap(entry(1, 10, state="committed", kind="partition"))
    assert assert_equal_to_raw_rows(reader) == 0


@pytest.mark.parametrize("step", [2, 3, 4, 5])
def test_aggregates_are_exact_after_a_failed_run_and_a_failed_rebuild(
    plane: AnalyticsPlane,
    reader: AssetReader,
    log: Log,
    ingest: Callable[..., Report],
    rebuild: Callable[..., Report],
    settings: Settings,
    step: int,
) -> None:
    asyncio.run(publish_generated(settings, count=250, shape="arrow", seed=3))
    asyncio.run(publish_generated(settings, count=100, shape="observer", seed=3))
    for materialise in (ingest, rebuild):
        with pytest.raises(StepFailed):
            materialise(StepFailure(step, after=True).on(plane))
        materialise(plane)
        assert assert_equal_to_raw_rows(reader) == 250
