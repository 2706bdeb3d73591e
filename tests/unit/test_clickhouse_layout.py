"""Statements on a ClickHouse cluster, held against a snapshot; and none of them on one server."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from fraiseql_assets.analytics.layout import REPLACE_EMPTY, Layout
from fraiseql_assets.analytics.setup import (
    AGGREGATES,
    EVENTS_SHARD,
    EVENTS_TABLE,
    table_statements,
)
from fraiseql_assets.settings import Settings

SNAPSHOT = Path(__file__).parents[1] / "data" / "clickhouse-cluster.sql"
CLUSTER = Settings(
    clickhouse_cluster="main",
    clickhouse_url=SecretStr("http://default:@127.0.0.1:8123/fraiseql"),
)
ONE_SERVER = Settings()
STAGING = f"{EVENTS_TABLE}_staging_20260131"


def all_statements(settings: Settings) -> list[str]:
    """What `setup` and the replacement of a day execute."""
    layout = Layout.of(settings)
    tables = (EVENTS_TABLE, EVENTS_SHARD), *((each.state_table, each.shard) for each in AGGREGATES)
    replacements = [
        statement
        for table, shard in tables
        for staging in [f"{table}_staging_20260131"]
        for statement in (
            *layout.copy(table, staging, shard),
            *replaced(layout, table, staging, is_empty=False),
            *replaced(layout, table, staging, is_empty=True),
            *layout.drop(staging),
        )
    ]
    created = [each for some in table_statements(settings).values() for each in some]
    return [*created, *replacements]


def replaced(layout: Layout, table: str, staging: str, *, is_empty: bool) -> list[str]:
    return layout.replace_partition(
        table, staging, "2026-01-31", is_empty=is_empty, knows={REPLACE_EMPTY}
    )


def test_the_statements_on_a_cluster_are_those_of_the_snapshot() -> None:
    text = ";\n\n".join(map(str.strip, all_statements(CLUSTER))) + ";\n"
    assert text == SNAPSHOT.read_text(), f"If the change is right, write it to {SNAPSHOT}"


def test_every_statement_reaches_every_server_of_the_cluster() -> None:
    assert [each for each in all_statements(CLUSTER) if "ON CLUSTER 'main'" not in each] == []


def test_a_block_is_inserted_alone_on_a_cluster() -> None:
    # Without insert_quorum_parallel a second insert is refused until the first has its quorum.
    assert Layout.of(CLUSTER).exact["insert_quorum_parallel"] == 0
    assert Layout.of(CLUSTER).blocks_at_a_time == 1


def test_every_table_that_holds_rows_is_replicated() -> None:
    engines = [
        line
        for statement in all_statements(CLUSTER)
        for line in statement.splitlines()
        if line.startswith("ENGINE = ")
    ]
    assert engines
    assert [line for line in engines if not line.startswith("ENGINE = Replicated")] == []


def test_one_server_has_no_trace_of_a_cluster() -> None:
    text = "\n".join(all_statements(ONE_SERVER))
    for word in ("CLUSTER", "Replicated", "Distributed", "_local", "SYSTEM"):
        assert word not in text
    assert Layout.of(ONE_SERVER).exact == {}


def test_inserts_with_a_quorum_are_sequential() -> None:
    layout = Layout.of(CLUSTER)
    assert layout.exact["insert_quorum_parallel"] == 0
    assert layout.blocks_at_a_time == 1


def test_an_older_server_gets_no_unknown_setting() -> None:
    layout = Layout.of(CLUSTER)
    [_, replace] = layout.replace_partition("t", "u", "2026-01-31", is_empty=False, knows=())
    assert replace.endswith("FROM u_local")


@pytest.mark.parametrize("name", ["a'b", "a b", "a;b", "a`"])
def test_the_name_of_a_cluster_is_not_sql(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Settings(clickhouse_cluster=name)
