"""Introspects tables of PostgreSQL for uploads, by name."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from flight_service.errors import UnknownName
from flight_service.graphql.postgres.catalogue import Ask
from flight_service.graphql.postgres.sql import quoted, quoted_path
from flight_service.tickets import shown

COLUMNS = """
SELECT
    n.nspname::text AS schema,
    c.relname::text AS name,
    row_security_active(c.oid) AS guarded,
    a.attname::text AS column_name,
    t.typname::text AS type,
    format_type(a.atttypid, -1) AS sql_type,
    a.atttypmod AS modifier,
    a.attgenerated::text <> '' OR a.attidentity::text = 'a' AS generated
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'f', 'v')
ORDER BY a.attnum
"""
_ARROW = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.utf8(),
    "varchar": pa.utf8(),
    "bpchar": pa.utf8(),
    "uuid": pa.utf8(),
    "json": pa.utf8(),
    "jsonb": pa.utf8(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A column of a target table."""

    name: str
    type: str
    sql_type: str
    """The type in SQL, without a modifier."""
    modifier: int
    is_generated: bool

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of its values; None if PostgreSQL converts them from the sent type."""
        if self.type == "numeric" and self.modifier >= 4:
            precision, scale = self.modifier - 4 >> 16 & 0xFFFF, self.modifier - 4 & 0x7FF
            return pa.decimal128(precision, scale) if scale <= precision <= 38 else None
        return _ARROW.get(self.type)


@dataclass(frozen=True, slots=True)
class Table:
    """A target table."""

    name: str
    """The name in the settings."""
    sql: str
    """Its name in SQL, with its schema."""
    columns: Mapping[str, Target]
    is_guarded: bool
    """Whether policies of row security apply to the service's role."""


def read_table(ask: Ask, name: str) -> Table:
    """The table of a name, with or without its schema.

    Raises:
        UnknownName: there is no such table.
        DatabaseFailed: PostgreSQL cannot be asked.
    """
    rows = ask(COLUMNS, [quoted_path(name)]).to_pylist()
    if not rows:
        raise UnknownName(f"PostgreSQL has no table {shown(name)}.")
    columns = {
        row["column_name"]: Target(
            row["column_name"], row["type"], row["sql_type"], row["modifier"], row["generated"]
        )
        for row in rows
    }
    sql = f"{quoted(rows[0]['schema'])}.{quoted(rows[0]['name'])}"
    return Table(name, sql, columns, rows[0]["guarded"])
