"""The number of rows that a result may have."""

from collections.abc import Sequence
from dataclasses import dataclass

from flight_service.graphql.errors import LimitExceeded

SETTING = "FRAISEQL_GRAPHQL_MAX_ROWS"


@dataclass(frozen=True, slots=True)
class RowLimit:
    """The limit that `FRAISEQL_GRAPHQL_MAX_ROWS` sets."""

    rows: int

    def check(self, rows: int, what: str, path: Sequence[str | int] | None = None) -> None:
        """Refuses a result that has more rows; `what` begins the message.

        Raises:
            LimitExceeded: naming the setting.
        """
        if rows > self.rows:
            raise LimitExceeded(
                f"{what} more than {self.rows:,} rows. {SETTING} allows no more; narrow it, or "
                "give a limit.",
                path=path,
            )

    def check_argument(self, name: str, rows: int) -> None:
        """Refuses an argument that requests more rows.

        Raises:
            LimitExceeded: naming the setting.
        """
        if rows > self.rows:
            raise LimitExceeded(f"{name} is {rows:,}. {SETTING} allows {self.rows:,}.")
