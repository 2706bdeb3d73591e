"""Plans of operations over PostgreSQL: for each root field one SQL statement."""

from dataclasses import dataclass

from flight_service.graphql.arrow.columns import ObjectColumns
from flight_service.graphql.arrow.result_types import ObjectType
from flight_service.graphql.planning.levels import Check
from flight_service.graphql.planning.relay_page import Page
from flight_service.graphql.planning.result import ConstantResult, Result, RootResult


@dataclass(frozen=True, slots=True)
class Choice:
    """Which source was chosen, and why no faster one."""

    source: str
    how: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RootStatement:
    """The statement of one root field, and how its rows become the result."""

    result: RootResult
    sql: str
    rows_sql: str
    """The rows that it projects, without the projection."""
    values: tuple[str, ...]
    value_types: tuple[str, ...]
    """The PostgreSQL type of each value."""
    rows: ObjectType
    """The logical type of its rows."""
    columns: ObjectColumns
    """The columns that hold them."""
    checks: tuple[Check, ...]
    choice: Choice
    most_rows: int | None = None
    """The number of rows that it returns at most, if it has a limit."""
    table: str | None = None
    """The table by whose ctid ranges its rows can be divided; None if they cannot."""
    page: Page | None = None

    @property
    def key(self) -> str:
        return self.result.key


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """The statements of an operation, and its result."""

    roots: tuple[RootStatement | ConstantResult, ...]

    @property
    def statements(self) -> tuple[RootStatement, ...]:
        return tuple(root for root in self.roots if isinstance(root, RootStatement))

    @property
    def result(self) -> Result:
        """The logical type of the result."""
        return Result(
            tuple(one.result if isinstance(one, RootStatement) else one for one in self.roots)
        )

    def statement(self, field: str | None) -> RootStatement | None:
        """The statement of the root whose rows are returned; see `Result.root`.

        Raises:
            QueryRefused: there is no root of that key.
        """
        root = self.result.root(field)
        return next((one for one in self.statements if one.result == root), None)
