"""The layout of the plane's tables: on one server, or on every server of a ClickHouse cluster.

On a cluster a table `t` is two: `t_local` on each server, replicated within its shard, and `t`, the
distributed table over them, which statements read and write. The ledger and the erasures are small:
every server has all of their rows. FRAISEQL_CLICKHOUSE_CLUSTER names the cluster, as
`remote_servers` does, and the servers' macros `shard` and `replica` name their copies.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Self

from fraiseql_assets.analytics.client import database_of
from fraiseql_assets.settings import Settings

EXACT = {
    # An insert returns when a majority of the shard's replicas has it, and a read sees every such
    # insert: neither the ledger nor duplicates are looked up in an older state.
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    "select_sequential_consistency": 1,
    # An insert into a distributed table returns when the shards have it.
    "distributed_foreground_insert": 1,
    # A distributed table in an IN has the rows of all shards.
    "distributed_product_mode": "global",
    # A delete waits for one replica; the others follow.
    "lightweight_deletes_sync": 1,
}
"""The settings of statements on a cluster that write, or that read before a write."""

REPLACE_EMPTY = "allow_replace_partition_from_empty_source"


@dataclass(frozen=True, slots=True)
class Layout:
    """The names and clauses of tables, on a cluster or on one server."""

    cluster: str = ""
    database: str = "default"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.clickhouse_cluster, database_of(settings))

    @property
    def on_cluster(self) -> str:
        """The clause after a table's name that has every server execute a DDL statement."""
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""

    @property
    def clauses(self) -> dict[str, str]:
        """The values for the SQL files of tables. The path of a replicated table is the servers'
        default."""
        replicated = "Replicated" if self.cluster else ""
        return {"on_cluster": self.on_cluster, "replicated": replicated}

    @property
    def exact(self) -> dict[str, str | int]:
        """The settings of a client that writes."""
        return dict(EXACT) if self.cluster else {}

    @property
    def blocks_at_a_time(self) -> int:
        """How many blocks of a range are inserted at a time. A replicated table refuses an insert
        while another waits for its quorum."""
        return 1 if self.cluster else 2

    @property
    def parts(self) -> str:
        """The relation of all parts of tables, from one replica of each shard."""
        return f"cluster('{self.cluster}', system.parts)" if self.cluster else "system.parts"

    def held(self, table: str) -> str:
        """The table that holds the rows of `table`."""
        return f"{table}_local" if self.cluster else table

    def everywhere(self, engine: str, *arguments: str) -> str:
        """An engine with its arguments, for a table whose rows every server has."""
        if not self.cluster:
            return f"{engine}({', '.join(arguments)})"
        # Without the shard in its path, one table has the servers of all shards as replicas.
        replicas = ("'/clickhouse/tables/{uuid}'", "'{shard}-{replica}'")
        return f"Replicated{engine}({', '.join((*replicas, *arguments))})"

    def distributed(self, table: str, key: str) -> list[str]:
        """The statements that create the distributed table over the local ones of `table`, none
        without a cluster. `key` is the expression that decides a row's shard."""
        if not self.cluster:
            return []
        engine = f"Distributed('{self.cluster}', '{self.database}', '{self.held(table)}', {key})"
        return [
            f"CREATE TABLE IF NOT EXISTS {table}{self.on_cluster} AS {self.held(table)} "
            f"ENGINE = {engine}"
        ]

    def copy(self, table: str, copy: str, key: str) -> list[str]:
        """The statements that create an empty copy of a table."""
        held = f"CREATE TABLE {self.held(copy)}{self.on_cluster} AS {self.held(table)}"
        return [held, *self.distributed(copy, key)]

    def drop(self, table: str) -> list[str]:
        """The statements that drop a table, if it exists."""
        names = dict.fromkeys((table, self.held(table)))
        return [f"DROP TABLE IF EXISTS {name}{self.on_cluster} SYNC" for name in names]

    def replace_partition(
        self, table: str, copy: str, partition: str, *, is_empty: bool, knows: Container[str]
    ) -> list[str]:
        """The statements that replace a partition of the table by that of a copy, in one step on
        each server. `knows` holds the names of the server's settings."""
        held, source = self.held(table), self.held(copy)
        alter = f"ALTER TABLE {held}{self.on_cluster}"
        if is_empty:
            # ClickHouse refuses to replace a partition with an empty one.
            return [f"{alter} DROP PARTITION '{partition}'"]
        replace = f"{alter} REPLACE PARTITION '{partition}' FROM {source}"
        if not self.cluster:
            return [replace]
        # The copy may have no rows on some of the shards. Older servers replace with nothing.
        empties = f" SETTINGS {REPLACE_EMPTY} = 1" if REPLACE_EMPTY in knows else ""
        # The replica of a shard that executes the replacement needs every row of the copy.
        return [f"SYSTEM SYNC REPLICA{self.on_cluster} {source}", f"{replace}{empties}"]
