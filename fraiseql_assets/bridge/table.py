"""The table of the change log, checked before it is read."""

from dataclasses import dataclass

import asyncpg

from fraiseql_assets.bridge.database import sql, translated
from fraiseql_assets.bridge.errors import UnreadableTable
from fraiseql_assets.bridge.rows import COLUMNS, REQUIRED, SIZED


@dataclass(frozen=True, slots=True)
class Table:
    """The table of a change log in this database."""

    name: str
    """Quoted."""
    oid: int
    columns: frozenset[str]

    @property
    def selected(self) -> str:
        """The columns of an event; those that are missing are null."""
        return ", ".join(
            f"{name}::{kind} AS {name}" if name in self.columns else f"NULL::{kind} AS {name}"
            for name, kind in COLUMNS.items()
        )

    @property
    def size(self) -> str:
        """The approximate stored size of a row in bytes."""
        sizes = (f"coalesce(pg_column_size({c}), 0)" for c in SIZED if c in self.columns)
        return " + ".join(["256", *sizes])


async def check_table(connection: asyncpg.Connection, name: str, where: str) -> Table:
    """The table of this name.

    Raises:
        UnreadableTable: it does not exist, or its rows cannot all be read.
        DatabaseUnavailable: PostgreSQL does not answer.
    """
    with translated(where):
        found = await connection.fetchrow(sql("check_table"), name)
    if found is None:
        raise UnreadableTable(
            f"the database at {where} has no table {name}. `fraiseql setup` creates it; "
            "FRAISEQL_BRIDGE_TABLE names another one."
        )
    columns = frozenset(found["columns"])
    missing = [column for column in REQUIRED if column not in columns]
    if found["is_standby"]:
        raise UnreadableTable(
            f"PostgreSQL at {where} is a standby, which does not know what runs on its primary: "
            "name the primary in FRAISEQL_DATABASE_URL."
        )
    if missing:
        raise UnreadableTable(f"{name} is no change log: it has no column {', '.join(missing)}.")
    if not found["is_readable"]:
        raise UnreadableTable(f"{found['user']} may not read {name}: {_grant(name, found['user'])}")
    if found["hides_rows"]:
        raise UnreadableTable(
            f"row security hides rows of {name} from {found['user']}, and the bridge publishes "
            f"those of all tenants: ALTER ROLE {found['user']} BYPASSRLS, or CREATE POLICY bridge "
            f"ON {name} FOR SELECT TO {found['user']} USING (true)."
        )
    if (found["cached_numbers"] or 1) > 1:
        raise UnreadableTable(
            f"sessions keep numbers of {name} for later (CACHE {found['cached_numbers']}), so a "
            "row could come after the bridge has given its number up: ALTER TABLE "
            f"{name} ALTER COLUMN pk_entity_change_log SET CACHE 1."
        )
    return Table(_quoted(name), found["oid"], columns)


def _grant(name: str, user: str) -> str:
    schema = name.rpartition(".")[0] or "public"
    return f"GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT SELECT ON {name} TO {user}."


def _quoted(name: str) -> str:
    """The name of a table as PostgreSQL resolves it: unquoted parts are converted to lower case."""
    parts = [part if part.startswith('"') else f'"{part.lower()}"' for part in name.split(".")]
    return ".".join(parts)
