"""The queries of the dashboard over Flight SQL, as Grafana's plugin sends them.

It expands its macros with texts (grafana-flightsql-datasource, `pkg/flightsql/macro.go`).
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import adbc_driver_flightsql.dbapi as flightsql
import graphql_shop as shop
import pyarrow as pa
import pytest
import yaml
from sql_service import DAY, ROWS, adbc, sql_service

from fraiseql_assets.stream.position import midnight

FOLDER = Path(__file__).parents[2] / "docker" / "grafana"
PANELS = {
    panel["title"]: panel
    for panel in json.loads((FOLDER / "flight-sql.json").read_text())["panels"]
}
NOW = datetime.now(UTC)
PLUGIN = "influxdata-flightsql-datasource"


@pytest.fixture(scope="module")
def connection(
    clickhouse_url: str, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[flightsql.Connection]:
    shop.create(database_url)
    folder = tmp_path_factory.mktemp("schema")
    with sql_service(clickhouse_url, database_url, folder) as (service, _), adbc(service) as found:
        yield found


def expanded(query: str, start: datetime) -> str:
    """The query for a time range from then until now, in intervals of a minute."""
    first, last = (f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in (start, NOW + timedelta(days=1)))
    query = re.sub(r"\$__timeRange\((\w+)\)", rf"\1 >= '{first}' AND \1 <= '{last}'", query)
    query = query.replace("$__timeFrom", f"cast('{first}' as timestamp)")
    query = query.replace("$__timeTo", f"cast('{last}' as timestamp)")
    return query.replace("$__interval", "interval '60 second'")


def rows(connection: flightsql.Connection, title: str, start: datetime) -> pa.Table:
    with connection.cursor() as cursor:
        cursor.execute(expanded(PANELS[title]["targets"][0]["queryText"], start))
        return cursor.fetch_arrow_table()


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_has_the_times_that_the_plugin_reads(
    connection: flightsql.Connection, title: str
) -> None:
    found = rows(connection, title, midnight(DAY))
    assert found.schema.field("time").type == pa.timestamp("ns", "UTC")
    assert found["time"][0].as_py().date() == DAY
    kinds = {str(one.type) for one in found.schema} - {"timestamp[ns, tz=UTC]"}
    assert kinds <= {"string", "uint64"}, "the plugin leaves other columns empty"


def test_the_panel_of_events_counts_each_once(connection: flightsql.Connection) -> None:
    found = rows(connection, "Events", midnight(DAY))
    assert sum(found["events"].to_pylist()) == ROWS
    assert found["time"].to_pylist() == sorted(found["time"].to_pylist())


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_is_empty_outside_its_time_range(
    connection: flightsql.Connection, title: str
) -> None:
    assert rows(connection, title, NOW).num_rows == 0


def test_the_data_source_is_that_of_the_dashboard() -> None:
    [source] = yaml.safe_load((FOLDER / "flight-sql.yaml").read_text())["datasources"]
    assert source["type"] == PLUGIN
    assert {panel["datasource"]["type"] for panel in PANELS.values()} == {PLUGIN}
