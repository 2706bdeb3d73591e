"""Where values are read: in the rows themselves, or in the lists in them."""

from dataclasses import dataclass, field

from flight_service.graphql.schema.scalars import Kind
from flight_service.graphql.sources.values import Document

ITEM = ""
"""What stands in a check's path where an element of a list has its number."""
ARRAYS = frozenset(("_text", "_int4", "_int8", "_float8", "_bool"))
"""Column types that are lists of scalars as they are."""


@dataclass(frozen=True, slots=True)
class Check:
    """A value of a document whose type the schema promises, for finding where it is not."""

    path: tuple[str, ...]
    value: Document
    kind: Kind
    tables: tuple[str, ...]
    """The lists that it lies in, as functions in FROM."""


@dataclass(slots=True)
class Level:
    """Where values are read: once for every row, or for every element of lists in it."""

    tables: tuple[str, ...] = ()
    alias: str = ""
    aggregates: list[str] = field(default_factory=list)

    @property
    def sql(self) -> str:
        """The lateral sub-select that makes one array for each of its values."""
        columns = ", ".join(f"array_agg({sql}) AS a{n}" for n, sql in enumerate(self.aggregates))
        select = f"SELECT {columns} FROM {', '.join(self.tables)}"
        return f"LEFT JOIN LATERAL ({select}) AS {self.alias} ON TRUE"
