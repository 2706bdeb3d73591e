"""Plans: an operation's root fields, each with one SQL statement and the shape of its rows."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from flight_service.graphql.arrow.shapes import ListOf, Member, Struct, arrow_schema
from flight_service.graphql.planning.projection import Check


@dataclass(frozen=True, slots=True)
class Page:
    """How a page is cut from the rows: one more than asked for shows that there are more."""

    size: int | None
    backward: bool
    continued: bool
    """Whether it begins after a cursor (or ends before one)."""
    cursor: int
    """The column of the cursors."""
    members: tuple[Member, ...]
    """What is selected of the connection; `edges` are made of the rows."""
    total: str | None = None
    """The statement that counts the rows of all pages, where that is selected."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which source was chosen, and why not a faster one."""

    source: str
    how: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """What a root field is, whatever its statement."""

    key: str
    form: Literal["list", "single", "page", "count"]
    nullable: bool
    choice: Choice


@dataclass(frozen=True, slots=True)
class RootPlan:
    """One root field: its statement, and what becomes of the rows."""

    key: str
    form: Literal["list", "single", "page", "count"]
    sql: str
    rows_sql: str
    """The rows that it projects, without the projection."""
    values: tuple[str, ...]
    value_types: tuple[str, ...]
    """PostgreSQL's type of each value."""
    rows: Struct
    nullable: bool
    checks: tuple[Check, ...]
    choice: Choice
    most_rows: int | None = None
    """How many rows there can be at most, where the statement says so."""
    table: str | None = None
    """The table by whose pages its rows can be divided, where they can."""
    page: Page | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """The columns of its result."""
        return self.page.members if self.page else self.rows.members

    @property
    def schema(self) -> pa.Schema:
        """Its result's own rows: those of a list, the one of an object or page."""
        return arrow_schema(self.members)

    @property
    def member(self) -> Member:
        """Its result as one column beside other roots'."""
        if self.form == "count":
            return self.members[0]
        one = Struct(self.members)
        if self.form == "list":
            return Member(self.key, ListOf(0, Member("item", one, False)), self.nullable)
        return Member(self.key, one, self.nullable)


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation's roots, in the order in which they were selected."""

    roots: tuple[RootPlan | Member, ...]
    """`__typename` and introspection are members with constants; the others have statements."""

    @property
    def statements(self) -> tuple[RootPlan, ...]:
        return tuple(root for root in self.roots if isinstance(root, RootPlan))

    @property
    def constants(self) -> tuple[Member, ...]:
        return tuple(root for root in self.roots if isinstance(root, Member))
