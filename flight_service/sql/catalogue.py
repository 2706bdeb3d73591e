"""The protocol of a catalogue: an engine's relations for a principal, and statements over them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa

from flight_service.authentication import Principal
from fraiseql_assets.cancellation import Cancellation

Dialect = Literal["clickhouse", "postgres"]
TABLE, VIEW = "TABLE", "VIEW"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view for one principal."""

    schema_name: str
    name: str
    kind: str
    """`TABLE` or `VIEW`."""
    columns: pa.Schema
    select: str
    """A SELECT of exactly these columns, of the rows that the principal may see."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The values that the SELECT binds, by their names in it."""
    key: tuple[str, ...] = ()
    """The columns of the primary key, if there is one."""
    description: str = ""
    document: "Document | None" = None
    """The GraphQL query of the same rows, if there is one."""
    by_day: "ByDay | None" = None
    """How its rows divide by days, if the engine stores each day by itself."""


@dataclass(frozen=True, slots=True)
class DayRange:
    """Days, both included."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class ByDay:
    """The division of a relation by days, so that each row has one day, which never changes."""

    select: str
    """`Relation.select` with only the rows of a `DayRange`, which the catalogue binds."""
    day: str
    """The column whose day it is."""
    counted: frozenset[str]
    """The columns that are read so fast that rows can be counted by them."""
    is_whole: bool
    """Whether `Relation.select` has all rows that the engine stores."""


@dataclass(frozen=True, slots=True)
class Document:
    """A GraphQL query that lists the rows of a relation."""

    query: str
    """The root field."""
    fields: Mapping[str, str]
    """The field of each column."""

    def text(self, columns: Sequence[str]) -> str:
        """The document that selects these columns under their names."""
        fields = " ".join(
            name if name == self.fields[name] else f"{name}: {self.fields[name]}"
            for name in columns
        )
        return f"{{ {self.query} {{ {fields} }} }}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A validated statement whose relations are replaced by the rows of the principal."""

    sql: str
    """In the engine's dialect, with `Parameter.mark` for each parameter."""
    values: Mapping[str, str]
    """The values that the SELECTs of its relations bind."""
    parameters: tuple["Parameter", ...]
    division: "Division | None" = None
    """Its parts by days, if its rows are those of its parts together."""


@dataclass(frozen=True, slots=True)
class Division:
    """A statement that can be read by days, in the same form as `Statement.sql`."""

    sql: str
    """The statement over the rows of a `DayRange`, which the catalogue binds."""
    count: str | None
    """A statement that counts the rows of each day; None if these are all rows that the engine
    stores."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A placeholder of a statement."""

    name: str
    mark: str
    """The text that represents it in the statement's SQL, at each position."""
    type: pa.DataType
    """The type of the expression that it is compared with; text if that is unknown."""


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
        """The rows, in batches of exactly `schema`. Closing the iterator or cancelling ends the
        engine's query."""
        ...


@runtime_checkable
class DivisibleExecution(Execution, Protocol):
    """An execution whose rows can be read in parts."""

    def day_ranges(self) -> Sequence[DayRange]:
        """Ranges of days, in which each row is exactly once, also a row that is stored later. Empty
        if the result is small, or not known to be large. May send a request to the engine."""
        ...

    def of_days(self, days: DayRange) -> Execution:
        """The part with the rows of these days.

        Raises:
            InvalidRequest: the statement has no parts.
        """
        ...


class Catalogue(Protocol):
    """One engine, and the relations in it."""

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> Dialect: ...

    def relations(self, principal: Principal) -> Sequence[Relation]:
        """The relations that the principal may read, ordered by schema and name.

        Raises:
            ServiceError, PlaneError: the engine does not answer.
        """
        ...

    def execution(self, statement: Statement, binding: Binding, principal: Principal) -> Execution:
        """The execution of a statement with each row of values, one after another. Requests the
        schema of the result from the engine, without running the statement.

        Raises:
            InvalidRequest: the engine refuses the statement, or a value has a wrong type.
            ServiceError, PlaneError: the engine cannot be asked.
        """
        ...
