"""The protocol of a catalogue: an engine's relations for a principal, and statements over them."""

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
