"""A page of a relay query: how it is limited, and its fields."""

from dataclasses import dataclass

from flight_service.graphql.arrow.result_types import ResultField


@dataclass(frozen=True, slots=True)
class PageField:
    """A selected field of a connection or of its `pageInfo`."""

    field: ResultField
    name: str
    """Its name in the schema."""
    fields: tuple["PageField", ...] = ()
    """The selected fields of `pageInfo`."""


@dataclass(frozen=True, slots=True)
class Page:
    """How a page is made from rows. One row more than requested shows that there are more."""

    size: int | None
    backward: bool
    after_cursor: bool
    """Whether it begins after a cursor, or ends before one."""
    cursor: int
    """The number of the column with the rows' cursors."""
    fields: tuple[PageField, ...]
    """The selected fields of the connection; `edges` are made from the rows."""
    total: str | None = None
    """The statement that counts the rows of all pages, if `totalCount` is selected."""
