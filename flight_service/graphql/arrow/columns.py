"""The physical columns of a result: what PostgreSQL returns for each part of its logical type.

PostgreSQL returns flat columns: one for each scalar, one for each object that may be absent, and
one with the lengths of each list. Values inside lists come as one array per row, however deeply the
lists are nested; the lengths say how to divide it. `arrow.assemble` makes structs and lists from
whole columns, so no row is ever a Python object.

The columns of a value form a tree of the same structure as its `arrow.result_types.ResultType`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoColumn:
    """The columns of a constant: none."""


@dataclass(frozen=True, slots=True)
class ScalarColumn:
    """The column of a scalar."""

    number: int
    from_document: bool = False
    """Whether the text may be an object or array that a document holds instead of a string."""
    members: Mapping[str, str] | None = None
    """For an enum: its member names, by the texts that are stored for them."""
    cast_to: str | None = None
    """The PostgreSQL type to cast the text to, where a document's text is returned uncast."""


@dataclass(frozen=True, slots=True)
class ObjectColumns:
    """The columns of an object's fields, in the order of its type's fields."""

    fields: tuple["Columns", ...]
    presence: int | None = None
    """A column that is true if the object is present, null if it is absent, false if the value is
    not an object. None if the object is always present."""


@dataclass(frozen=True, slots=True)
class ListColumns:
    """The columns of a list."""

    lengths: int
    """A column with the length: null if the list is absent, negative if the value is not a list."""
    item: "Columns"


Columns = NoColumn | ScalarColumn | ObjectColumns | ListColumns


def scalar_columns(columns: Columns) -> Iterator[ScalarColumn]:
    """All scalar columns of a value."""
    match columns:
        case ScalarColumn():
            yield columns
        case ObjectColumns(fields):
            for one in fields:
                yield from scalar_columns(one)
        case ListColumns(item=item):
            yield from scalar_columns(item)
        case NoColumn():
            pass
