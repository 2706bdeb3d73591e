# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Converts a client's columns to those of events, with its tenant."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flight_service.errors import Forbidden, InvalidRequest, reason_of
from flight_service.tickets import shown
from fraiseql_assets.events.arrow_shape import PRODUCER_SCHEMA, producer_table
from fraiseql_assets.events.columns import InvalidValues
from fraiseql_assets.events.schema import STREAM_COLUMNS

TENANT = "tenant_id"
OLDER_TENANT = "org_id"
_KNOWN = frozenset((*PRODUCER_SCHEMA.names, *STREAM_COLUMNS, OLDER_TENANT))
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Converts batches of a principal to events."""

    tenant: str | None
    """The tenant to which its events are limited; None if it may write for all tenants."""

    def fit(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as events. Casts are lossless; the columns that the log assigns are dropped.

        Raises:
            InvalidRequest: a column is missing or has a wrong type; the message names it.
            Forbidden: a row is of another tenant.
        """
        table = pa.Table.from_batches([batch])
        try:
            fitted = producer_table(table, truncates_times=False)
        except InvalidValues as error:
            raise InvalidRequest(f"{_capital(str(error))}. {self._advice(str(error))}") from error
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise InvalidRequest(f"The batch is damaged: {reason_of(error)}.") from error
        if self.tenant is not None:
            fitted = self._of_tenant(fitted)
        return _one_batch(fitted)

    def _of_tenant(self, table: pa.Table) -> pa.Table:
        column = table[TENANT]
        others = pc.fill_null(pc.not_equal(column, self.tenant), False)
        row = others.index(True).as_py()
        if row >= 0:
            raise Forbidden(
                f"Row {row} is of another tenant than the token. Leave the column {TENANT} out, or "
                "send a token with the scope 'all_tenants'."
            )
        filled = pa.chunked_array([pa.repeat(pa.scalar(self.tenant, pa.utf8()), len(column))])
        return table.set_column(table.schema.get_field_index(TENANT), TENANT, filled)

    def _advice(self, why: str) -> str:
        for field in PRODUCER_SCHEMA:
            if f"column {field.name} " in why:
                null = "" if field.nullable else ", without nulls"
                text = ", JSON text" if field.name in ("data", "changes") else ""
                return f"It fits as {field.type}{text}{null}."
        return ""


def warnings(schema: pa.Schema) -> tuple[str, ...]:
    """Warnings about a client's columns."""
    unknown = [name for name in schema.names if name not in _KNOWN]
    if not unknown:
        return ()
    named = ", ".join(shown(name) for name in unknown[:_SHOWN])
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return (f"Events have no column {named}{more}: what is in there is not stored.",)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], PRODUCER_SCHEMA)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
