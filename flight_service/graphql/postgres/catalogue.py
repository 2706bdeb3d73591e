"""Introspects the relations that a compiled schema names, in PostgreSQL's catalogue."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from flight_service.graphql.postgres.sql import quoted_path

Ask = Callable[[str, Sequence[str]], pa.Table]
"""Runs a statement with bound text parameters, `$1` and so on, and returns its rows."""

RELATIONS = """
SELECT
    asked.name AS asked,
    c.relkind::text AS kind,
    c.relrowsecurity AS row_security,
    has_table_privilege(c.oid, 'SELECT') AS readable,
    a.attname::text AS column_name,
    t.typname::text AS type,
    t.typtype = 'e' AS is_enum,
    a.atttypmod AS modifier,
    a.attndims AS dimensions,
    CASE WHEN c.relkind = 'v' AND a.attnum = 1 THEN pg_get_viewdef(c.oid, false) END AS definition,
    coalesce(array_to_string(c.reloptions, ' ') ~ 'security_barrier=(true|on|yes|1)', false)
        AS barrier,
    CASE c.relkind
        WHEN 'v' THEN array_to_string(c.reloptions, ' ') ~ 'security_invoker=(true|on|yes|1)'
        ELSE row_security_active(c.oid)
            AND EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid)
    END IS TRUE AS guarded
FROM jsonb_array_elements_text($1::jsonb) AS asked(name)
JOIN pg_class AS c ON c.oid = to_regclass(asked.name)
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
ORDER BY asked.name, a.attnum
"""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column in the catalogue."""

    name: str
    type: str
    is_enum: bool = False
    modifier: int = -1
    """The type modifier; -1 without one."""
    dimensions: int = 0
    """The declared number of an array's dimensions; 0 if it is not known, as for views."""

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale of a numeric, if it has them and Arrow supports them."""
        if self.type != "numeric" or self.modifier < 4:
            return None
        packed = self.modifier - 4
        precision, scale = packed >> 16 & 0xFFFF, packed & 0x7FF
        # A scale may be negative or larger than the precision; then the default applies.
        return (precision, scale) if precision <= 38 and scale <= precision else None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view."""

    name: str
    """As the schema has it."""
    columns: Mapping[str, ColumnInfo]
    definition: str | None
    """The SELECT of a view; None for a table."""
    is_stored: bool
    """Whether it is a table or materialized view, whose rows have ctids."""
    is_open: bool
    """Whether this role may read it, without row security."""
    barrier: bool
    is_guarded: bool = False
    """For a table, whether policies of row security apply to this service's role; for a view,
    whether it runs with the rights of the role that reads it."""


def read_relations(ask: Ask, names: Iterable[str]) -> dict[str, Relation]:
    """The relations of these names that exist, by name."""
    asked = {quoted_path(name): name for name in names}
    found: dict[str, Relation] = {}
    columns: dict[str, dict[str, ColumnInfo]] = {}
    for row in ask(RELATIONS, [msgspec.json.encode(sorted(asked)).decode()]).to_pylist():
        name = asked[row["asked"]]
        own = columns.setdefault(name, {})
        own[row["column_name"]] = ColumnInfo(
            row["column_name"],
            row["type"],
            row["is_enum"],
            row["modifier"],
            row["dimensions"],
        )
        if name not in found:
            is_open = row["readable"] and not row["row_security"]
            is_stored = row["kind"] in ("r", "m")
            found[name] = Relation(
                name, own, row["definition"], is_stored, is_open, row["barrier"], row["guarded"]
            )
    return found


def describe_columns(ask: Ask, select: str) -> dict[str, ColumnInfo]:
    """The columns of a SELECT, without reading rows."""
    schema = ask(f"SELECT * FROM ({select}) AS described LIMIT 0", []).schema
    described: dict[str, ColumnInfo] = {}
    for field in schema:
        metadata = field.metadata or {}
        described[field.name] = ColumnInfo(
            field.name,
            metadata.get(b"POSTGRESQL:type", b"").decode(),
            modifier=int(metadata.get(b"POSTGRESQL:typmod", b"-1").decode().strip("'")),
        )
    return described
