"""The levels at which values are read: rows, and the lists in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flight_service.graphql.schema.scalars import Kind
from flight_service.graphql.sources.values import Document

ITEM = ""
"""In a check's path, the position of a list element's index."""
INTEGERS = frozenset(("_int4", "_int8"))
ARRAYS: Mapping[str, frozenset[str]] = {
    "text": frozenset(("_text", "_bool")) | INTEGERS,
    "int4": INTEGERS,
    "float8": frozenset(("_float8",)) | INTEGERS,
    "bool": frozenset(("_bool",)),
    "numeric": INTEGERS,
}
"""The types of array columns that are read as lists of scalars, by the scalar's type. Casts of
others give other values than documents have: 3 is true, and the text 1 is a number in JSON."""


@dataclass(frozen=True, slots=True)
class Check:
    """A value of a document and its type in the schema, to find rows where it has another."""

    path: tuple[str, ...]
    value: Document
    kind: Kind
    tables: tuple[str, ...]
    """The lists around it, as functions in FROM."""


@dataclass(slots=True)
class Level:
    """A level at which values are read: each row, or each element of lists in it."""

    tables: tuple[str, ...] = ()
    alias: str = ""
    aggregates: list[str] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The lateral sub-select that returns an array for each value."""
        columns = ", ".join(f"array_agg({sql}) AS a{n}" for n, sql in enumerate(self.aggregates))
        select = f"SELECT {columns} FROM {', '.join(self.tables)}"
        return f"LEFT JOIN LATERAL ({select}) AS {self.alias} ON TRUE"
