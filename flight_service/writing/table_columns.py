# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Converts a client's columns to those of a table, with its tenant."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.errors import Forbidden, InvalidRequest, reason_of
from flight_service.graphql.postgres.sql import quoted
from flight_service.tickets import shown
from flight_service.writing.table_catalogue import Table, Target

TENANT = ("tenant_id", "org_id")
"""The names of tenant columns. The first one in a table is used."""
WIDE = pa.decimal128(20, 0)
"""A type for unsigned integers of 64 bits, which PostgreSQL does not have."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """Converts batches of a principal to rows of a table."""

    table: Table
    tenant: str | None
    """The tenant to which its rows are limited; None if it may write for all tenants."""

    def check(self) -> None:
        """Refuses a table that does not separate tenants.

        Raises:
            Forbidden: the principal has a tenant, and the table neither a column for it nor row
                security.
        """
        if self.tenant is not None and self._tenant is None and not self.table.is_guarded:
            raise Forbidden(
                f"{self.table.name} has neither a column {TENANT[0]} nor row security, so it is "
                "not known whose its rows are. Send a token with the scope 'all_tenants'."
            )

    def targets(self, schema: pa.Schema) -> list[Target]:
        """The columns of the table for rows of this schema.

        Raises:
            InvalidRequest: the table lacks a column, or a column occurs twice.
        """
        for name in schema.names:
            if schema.names.count(name) > 1:
                raise InvalidRequest(f"The column {name} is there twice.")
            found = self.table.columns.get(name)
            if found is None:
                raise InvalidRequest(
                    f"{self.table.name} has no column {shown(name)}. It has: "
                    f"{', '.join(self.table.columns)}."
                )
            if found.is_generated:
                raise InvalidRequest(
                    f"{self.table.name} makes its column {name} itself. Leave it out."
                )
        names = list(schema.names)
        if self.tenant is not None and self._tenant is not None and self._tenant not in names:
            names.append(self._tenant)
        return [self.table.columns[name] for name in names]

    def fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the columns of `targets`, named `c0`, `c1` and so on. Casts are lossless.

        Raises:
            InvalidRequest: a column has a wrong type; the message names it.
            Forbidden: a row is of another tenant.
        """
        targets = self.targets(batch.schema)
        columns = [_fitted(batch.column(n), targets[n]) for n in range(batch.num_columns)]
        if self.tenant is not None and self._tenant is not None:
            number = [target.name for target in targets].index(self._tenant)
            given = columns[number] if number < len(columns) else None
            columns[number:] = [
                self._own(given, targets[number], batch.num_rows),
                *columns[number + 1 :],
            ]
        return pa.RecordBatch.from_arrays(columns, [f"c{n}" for n in range(len(columns))])

    def insertion(self, schema: pa.Schema, staged: str) -> str:
        """The statement that writes the rows of a staging table."""
        targets = self.targets(schema)
        names = ", ".join(quoted(target.name) for target in targets)
        values = ", ".join(f"c{n}::{target.sql_type}" for n, target in enumerate(targets))
        return f"INSERT INTO {self.table.sql} ({names}) SELECT {values} FROM {staged}"

    @property
    def _tenant(self) -> str | None:
        return next((name for name in TENANT if name in self.table.columns), None)

    def _own(self, given: pa.Array | None, target: Target, rows: int) -> pa.Array:
        """The tenant's column: the principal's in every row."""
        own = pa.repeat(pa.scalar(self.tenant, pa.utf8()), rows)
        if given is not None:
            others = pc.fill_null(pc.not_equal(given.cast(pa.utf8()), own), False)
            row = pc.index(others, True).as_py()
            if row >= 0:
                raise Forbidden(
                    f"Row {row} is of another tenant than the token. Leave the column "
                    f"{target.name} out, or send a token with the scope 'all_tenants'."
                )
        try:
            return own if target.arrow is None else own.cast(target.arrow)
        except pa.ArrowException as error:
            raise Forbidden(
                f"The token's tenant does not fit the column {target.name}, which is "
                f"{target.sql_type}."
            ) from error


def _fitted(column: pa.Array, target: Target) -> pa.Array:
    """A column in the staging table, for its target."""
    try:
        plain = _plain(column)
        wanted = target.arrow or _staged(plain.type)
        if plain.type == wanted:
            return plain
        cast = plain.cast(wanted)
        # Arrow would round these without an error.
        if pa.types.is_decimal(wanted) and pa.types.is_floating(plain.type):
            _check_unrounded(cast, plain, target)
        return cast
    except pa.ArrowException as error:
        text = " Send JSON text." if target.type in ("json", "jsonb") else ""
        raise InvalidRequest(
            f"The column {target.name} is {column.type} and does not fit {target.sql_type}: "
            f"{reason_of(error)}.{text}"
        ) from error


def _check_unrounded(cast: pa.Array, given: pa.Array, target: Target) -> None:
    row = pc.index(pc.fill_null(pc.equal(cast.cast(given.type), given), True), False).as_py()
    if row >= 0:
        raise InvalidRequest(
            f"The column {target.name} is {given.type} and does not fit {target.sql_type} with "
            f"{cast.type.scale} decimals: the value of row {row} would be rounded."
        )


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column.type, pa.UuidType):
        return pa.array([value and str(value) for value in column.to_pylist()], pa.utf8())
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def _staged(given: pa.DataType) -> pa.DataType:
    """The type in which PostgreSQL's driver accepts values of a type."""
    types = pa.types
    if types.is_large_string(given) or types.is_string_view(given):
        return pa.utf8()
    if types.is_large_binary(given) or types.is_binary_view(given):
        return pa.binary()
    return WIDE if types.is_uint64(given) else given
