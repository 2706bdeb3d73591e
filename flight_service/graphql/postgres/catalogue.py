"""What PostgreSQL's catalogue says of the relations that a compiled schema names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from flight_service.graphql.postgres.sql import quoted_path

Ask = Callable[[str, Sequence[str]], pa.Table]
"""Runs a statement with bound texts, `$1` and so on, and returns its few rows."""

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
    """A column as the catalogue describes it."""

    name: str
    type: str
    is_enum: bool = False
    modifier: int = -1
    """PostgreSQL's type modifier; -1 without one."""

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale of a numeric that has them, when Arrow has them too."""
        if self.type != "numeric" or self.modifier < 4:
            return None
        packed = self.modifier - 4
        precision, scale = packed >> 16 & 0xFFFF, packed & 0x7FF
        # Scales may be negative or beyond the precision, which is left to the default.
        return (precision, scale) if precision <= 38 and scale <= precision else None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view."""

    name: str
    """As it was asked for."""
    columns: Mapping[str, ColumnInfo]
    definition: str | None
    """A view's SELECT; None of a table."""
    is_stored: bool
    """Whether it is a table of its own, so that its rows have places on disk."""
    is_open: bool
    """Whether reading it needs no more than the right to, and its rows are the same for all."""
    barrier: bool
    is_guarded: bool = False
    """Of a table, whether policies of row security hold for this service's role; of a view,
    whether it leaves them to whoever reads it."""


def read_relations(ask: Ask, names: Iterable[str]) -> dict[str, Relation]:
    """The relations of these names; those that are not there are left out."""
    asked = {quoted_path(name): name for name in names}
    found: dict[str, Relation] = {}
    columns: dict[str, dict[str, ColumnInfo]] = {}
    for row in ask(RELATIONS, [msgspec.json.encode(sorted(asked)).decode()]).to_pylist():
        name = asked[row["asked"]]
        own = columns.setdefault(name, {})
        own[row["column_name"]] = ColumnInfo(
            row["column_name"], row["type"], row["is_enum"], row["modifier"]
        )
        if name not in found:
            is_open = row["readable"] and not row["row_security"]
            is_stored = row["kind"] in ("r", "m")
            found[name] = Relation(
                name, own, row["definition"], is_stored, is_open, row["barrier"], row["guarded"]
            )
    return found


def describe_columns(ask: Ask, select: str) -> dict[str, ColumnInfo]:
    """The columns of a statement, without running it."""
    schema = ask(f"SELECT * FROM ({select}) AS described LIMIT 0", []).schema
    described: dict[str, ColumnInfo] = {}
    for field in schema:
        told = field.metadata or {}
        described[field.name] = ColumnInfo(
            field.name,
            told.get(b"POSTGRESQL:type", b"").decode(),
            modifier=int(told.get(b"POSTGRESQL:typmod", b"-1").decode().strip("'")),
        )
    return described
