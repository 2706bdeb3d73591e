"""A ClickHouse cluster as far as the embedded engine goes: one shard, the server itself.

The engine has distributed tables and the function `cluster`. It executes no statement ON CLUSTER
and has no replicas, so tests leave these two out; a unit test holds them against a snapshot. This
server may also read and write files, for backups.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fraiseql_assets.analytics.layout import Layout
from local_stack import servers
from local_stack.programs import Program

CLUSTER = "main"
SERVER = f"""\
import typer
from local_stack.clickhouse import engine
from local_stack.clickhouse.__main__ import serve

ADDED = '''
<tcp_port>9000</tcp_port>
<remote_servers><{CLUSTER}><shard><internal_replication>true</internal_replication>
<replica><host>localhost</host><port>9000</port></replica></shard></{CLUSTER}></remote_servers>
<backups><allowed_path>/</allowed_path></backups>
</clickhouse>'''
write = engine.write_configuration

def write_more(folder, **options):
    path = write(folder, **options)
    path.write_text(path.read_text().replace("</clickhouse>", ADDED))
    return path

engine.write_configuration = write_more
typer.run(serve)
"""


class OneShard(Layout):
    """The layout of a cluster without replicas, created by the server's own statements."""

    @property
    def on_cluster(self) -> str:
        return ""

    @property
    def clauses(self) -> dict[str, str]:
        return {"on_cluster": "", "replicated": ""}

    def everywhere(self, engine: str, *arguments: str) -> str:
        return f"{engine}({', '.join(arguments)})"

    def replace_partition(self, *arguments: object, **options: object) -> list[str]:
        statements = super().replace_partition(*arguments, **options)  # pyright: ignore
        return [each for each in statements if not each.startswith("SYSTEM SYNC REPLICA")]


def clickhouse(folder: Path, port: int) -> Program:
    """An embedded ClickHouse that is the only shard of a cluster."""
    program = servers.clickhouse(folder, port)
    options = program.command[program.command.index("--data-dir") :]
    return replace(
        program,
        command=(sys.executable, "-c", SERVER, *options),
        environment={
            **program.environment,
            # Distributed tables and backups are outside of the engine.
            "FRAISEQL_CLICKHOUSE_EXTERNAL_SOURCES": "true",
            "TZ": "UTC",
        },
    )


@contextmanager
def one_shard() -> Iterator[None]:
    """Has the analytics plane use the layout above."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Layout, "of", OneShard.of)
        yield
