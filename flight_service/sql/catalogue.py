"""What a catalogue is: an engine's relations as a principal sees them, and statements over them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation

Dialect = Literal["clickhouse", "postgres"]
TABLE, VIEW = "TABLE", "VIEW"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view as one principal sees it."""

    schema_name: str
    name: str
    kind: str
    """`TABLE` or `VIEW`."""
    columns: pa.Schema
    select: str
    """A SELECT of exactly these columns, of the rows that the principal may see."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The values that the SELECT binds, by the names that it has for them."""
    key: tuple[str, ...] = ()
    """The columns of the primary key, where there is one."""
    description: str = ""
    document: "Document | None" = None
    """The GraphQL query of the same rows, where there is one."""


@dataclass(frozen=True, slots=True)
class Document:
    """A GraphQL query that lists the rows of a relation."""

    query: str
    """The root field."""
    fields: Mapping[str, str]
    """The field of each column."""

    def text(self, columns: Sequence[str]) -> str:
        """The document that selects these columns, under their names."""
        fields = " ".join(
            name if name == self.fields[name] else f"{name}: {self.fields[name]}"
            for name in columns
        )
        return f"{{ {self.query} {{ {fields} }} }}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that passed the grammar, its relations replaced by what the principal sees."""

    sql: str
    """In the engine's own language; parameters stand in it as `Parameter.mark`."""
    values: Mapping[str, str]
    """The values that its relations bind."""
    parameters: tuple["Parameter", ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A placeholder of a statement."""

    name: str
    mark: str
    """What stands in the statement's SQL for it, once for each place."""
    type: pa.DataType
    """The type of what it is compared with; text where that is not known."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Values for the parameters of a statement: it is executed once for each row."""

    types: tuple[pa.DataType, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ((),)


NO_VALUES = Binding()


class Execution(Protocol):
    """A statement with values, whose result's schema is known."""

    @property
    def schema(self) -> pa.Schema: ...

    def batches(self, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of exactly `schema`. Closing the iterator, or the cancellation,
        ends the engine's query."""
        ...


class Catalogue(Protocol):
    """One engine, and the relations in it."""

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    def relations(self, principal: Principal) -> Sequence[Relation]:
        """What the principal may read, ordered by schema and name.

        Raises:
            ServiceError, PlaneError: it cannot be told now.
        """
        ...

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        """A statement's execution with each row of values, the results one behind another. Asks
        the engine for the result's schema, and runs nothing.

        Raises:
            InvalidRequest: the engine does not take the statement, or a value does not fit.
            ServiceError, PlaneError: the engine cannot be asked.
        """
        ...


def close_batches(batches: Iterator[pa.RecordBatch]) -> None:
    """Closes an iterator of batches, which ends the work behind it."""
    close = getattr(batches, "close", None)
    if close is not None:
        close()
