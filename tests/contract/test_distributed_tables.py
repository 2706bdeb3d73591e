"""The analytics plane on a ClickHouse cluster: each event once, through distributed tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_cluster import CLUSTER, clickhouse, one_shard
from event_tables import DAY, STREAM, block, entry, event
from stacks import running

from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings

EVENTS = [event(number) for number in range(1, 201)]


@pytest.fixture(params=["analytics"])
def plane_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def clickhouse_url() -> Iterator[str]:
    with running(clickhouse) as url:
        yield url


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    with one_shard():
        yield settings.model_copy(update={"clickhouse_cluster": CLUSTER})


def counts(plane: AnalyticsPlane) -> set[int]:
    """The events of the day by the raw rows and by each aggregate."""
    return set(plane.compare_aggregates(DAY).values())


def test_setting_up_again_changes_nothing(plane: AnalyticsPlane) -> None:
    assert [line for line in plane.setup() if "as it should be" not in line] == []


def test_a_block_written_twice_counts_once(plane: AnalyticsPlane) -> None:
    for _ in range(2):
        plane.write(block(EVENTS))
    assert counts(plane) == {200}


def test_an_event_at_another_position_is_a_duplicate(plane: AnalyticsPlane) -> None:
    plane.write(block(EVENTS))
    again = [{**event(number), "stream_seq": 1_000 + number} for number in range(1, 11)]
    assert plane.write(block(again)).duplicates == 10
    assert counts(plane) == {200}


@pytest.mark.parametrize("rows", [300, 0])
def test_a_day_is_replaced(plane: AnalyticsPlane, rows: int) -> None:
    plane.write(block(EVENTS))
    replacement = plane.replace(DAY)
    if rows:
        replacement.write(block([event(number) for number in range(1, rows + 1)]))
        assert not replacement.missing(most=1)
    else:
        assert replacement.missing(most=1)
    replacement.swap(entry(1, 300, state="committed", kind="partition", rows=rows, messages=rows))
    assert counts(plane) == {rows}
    assert [each.rows for each in plane.ledger(STREAM)] == [rows]


def test_rows_round_trip(plane: AnalyticsPlane, settings: Settings) -> None:
    plane.write(block(EVENTS))
    reader = AnalyticsReader(settings)
    for asset in reader.assets():
        [partition] = reader.partitions(asset)
        assert partition.day == DAY
        assert sum(batch.num_rows for batch in reader.batches(asset, [DAY])) == partition.rows
    assert reader.rows("analytics/events", None) == 200


def test_tables_of_one_server_are_not_taken_for_those_of_a_cluster(settings: Settings) -> None:
    AnalyticsPlane(settings.model_copy(update={"clickhouse_cluster": ""})).setup()
    with pytest.raises(PlaneError, match=r"of one server.*FRAISEQL_CLICKHOUSE_CLUSTER"):
        AnalyticsPlane(settings).setup()


def test_the_engine_reads_every_statement_of_a_cluster(settings: Settings) -> None:
    """With ON CLUSTER and replicated tables, which it parses and does not execute."""
    text = (Path(__file__).parents[1] / "data" / "clickhouse-cluster.sql").read_text()
    client = connect(settings, timeout=30, database="default")
    for statement in filter(str.strip, text.split(";\n")):
        parsed = client.query("SELECT formatQuery({text:String})", parameters={"text": statement})
        assert "ON CLUSTER" in parsed.result_rows[0][0]
