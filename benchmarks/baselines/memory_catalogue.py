"""A catalogue of Flight SQL with one table, in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.sql.catalogue import TABLE, Binding, Dialect, Execution, Relation, Statement
from fraiseql_assets.cancellation import Cancellation


@dataclass(frozen=True)
class Held:
    """An execution whose rows are in memory."""

    sent: list[pa.RecordBatch]

    @property
    def schema(self) -> pa.Schema:
        return self.sent[0].schema

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        yield from self.sent


@dataclass(frozen=True)
class Memory:
    """A catalogue of one table, whose every statement gives all its rows."""

    sent: list[pa.RecordBatch]
    name: str = "memory"
    dialect: Dialect = "postgres"

    def relations(self, principal: Principal) -> Sequence[Relation]:
        return [Relation("public", "line_items", TABLE, self.sent[0].schema, "TABLE line_items")]

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        return Held(self.sent)
