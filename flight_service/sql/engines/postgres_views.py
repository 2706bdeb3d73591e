"""Relations of PostgreSQL that a setting makes readable, beside those of the compiled schema.

The compiled schema does not protect them, so all their columns are readable. A principal with a
tenant can read only relations with a tenant column, and only its own rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import pyarrow as pa

from flight_service.access import tenant_of
from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE
from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.postgres.catalogue import Ask, ColumnInfo, describe_columns
from flight_service.graphql.postgres.sql import quoted, quoted_path
from flight_service.sql.catalogue import TABLE, VIEW, Relation
from flight_service.sql.engines.postgres_relations import DEFAULT_SCHEMA, TABLES
from flight_service.sql.engines.postgres_types import shown

TENANT_COLUMNS = ("tenant_id", "org_id")
HELD_SECONDS = 60.0
"""How long the columns of a relation are cached."""


@dataclass(frozen=True, slots=True)
class _Described:
    """A relation, and the time when its columns were read."""

    at: float
    columns: pa.Schema
    tenant: ColumnInfo | None
    """The column with the tenant of a row."""


class AllowedViews:
    """The relations of the setting. Thread-safe."""

    def __init__(self, names: Sequence[str], ask: Ask) -> None:
        self._names = names
        self._ask = ask
        self._held: dict[str, _Described] = {}

    def relations(self, principal: Principal) -> list[Relation]:
        """The existing relations that the principal may read.

        Raises:
            DatabaseUnavailable: PostgreSQL cannot be asked.
        """
        tenant = tenant_of(principal)
        found: list[Relation] = []
        for number, name in enumerate(self._names):
            described = self._described(name)
            if described is None or (tenant is not None and described.tenant is None):
                continue
            found.append(_relation(name, described, tenant, number))
        return found

    def _described(self, name: str) -> _Described | None:
        held = self._held.get(name)
        if held is not None and monotonic() - held.at < HELD_SECONDS:
            return held
        select = f"SELECT * FROM {quoted_path(name)}"
        try:
            schema = self._ask(f"{select} LIMIT 0", []).schema
            info = describe_columns(self._ask, select)
        except DatabaseFailed as error:
            if error.status is UNAVAILABLE:
                raise
            # It does not exist, or the service's role may not read it.
            return None
        tenant = next((info[one] for one in TENANT_COLUMNS if one in info), None)
        columns = pa.schema([pa.field(one.name, shown(one).type) for one in schema])
        held = self._held[name] = _Described(monotonic(), columns, tenant)
        return held


def _relation(name: str, described: _Described, tenant: str | None, number: int) -> Relation:
    columns = ", ".join(quoted(one) for one in described.columns.names)
    select, values = f"SELECT {columns} FROM {quoted_path(name)}", {}
    if tenant is not None and described.tenant is not None:
        setting = f"fraiseql.v{number}_tenant"
        own = f"(SELECT current_setting('{setting}')::{quoted(described.tenant.type)})"
        select += f" WHERE {quoted(described.tenant.name)} = {own}"
        values = {setting: tenant}
    schema_name, _, bare = name.rpartition(".")
    return Relation(
        schema_name=schema_name or DEFAULT_SCHEMA,
        name=bare,
        kind=TABLE if bare.startswith(TABLES) else VIEW,
        columns=described.columns,
        select=select,
        values=values,
    )
