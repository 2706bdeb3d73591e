"""The indices of a dataset: their names, and the live index of a day.

A day has one live index, `fraiseql-events-2026.01.31-000001`, reached under the day's alias
`fraiseql-events-2026.01.31` and, with all the other days, under `fraiseql-events`. A rebuilt day
gets an index with the next number. The index that the aliases name is the live one. An index
without an alias is left over.
"""

from dataclasses import dataclass
from datetime import date, datetime

from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from fraiseql_assets.datasets import EVENTS, Dataset
from fraiseql_assets.operational.availability import (
    IndexState,
    index_states,
    require_available,
)
from fraiseql_assets.planes import PlaneError, PlaneNotSetUp
from fraiseql_assets.settings import Settings

TRIES = 5


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a dataset's objects in the server."""

    prefix: str
    dataset: str = EVENTS.name

    @classmethod
    def of(cls, settings: Settings, dataset: Dataset = EVENTS) -> "Names":
        return cls(settings.index_prefix, dataset.name)

    @property
    def all_days(self) -> str:
        """The alias over all days, and the name of template and lifecycle policy."""
        return f"{self.prefix}-{self.dataset}"

    @property
    def ledger(self) -> str:
        """The index of the ledger, which all datasets share."""
        return f"{self.prefix}-ledger"

    def day(self, day: date) -> str:
        """The alias of a day's live index."""
        return f"{self.all_days}-{day:%Y.%m.%d}"

    def day_of(self, index: str) -> date | None:
        """The day of an index of the dataset, None for any other index."""
        text, _, number = index.removeprefix(f"{self.all_days}-").rpartition("-")
        if not number.isdigit():
            return None
        try:
            return datetime.strptime(text, "%Y.%m.%d").date()
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class DayIndices:
    """The indices that a server holds of a day."""

    alias: str
    live: tuple[str, ...]
    leftover: tuple[str, ...]
    """Indices that were never swapped in, or were swapped out and not removed."""

    @property
    def next(self) -> str:
        """A name that no index has."""
        numbers = [int(name.rpartition("-")[2]) for name in (*self.live, *self.leftover)]
        return f"{self.alias}-{max(numbers, default=0) + 1:06}"


def indices_of_day(client: Elasticsearch, names: Names, day: date) -> DayIndices:
    """The indices of a day."""
    alias = names.day(day)
    found = [
        (index, alias in held["aliases"])
        for index, held in client.indices.get_alias(index=f"{alias}-*").items()
        if names.day_of(index) == day
    ]
    return DayIndices(
        alias,
        tuple(index for index, live in found if live),
        tuple(index for index, live in found if not live),
    )


def live_days(client: Elasticsearch, names: Names) -> dict[date, IndexState]:
    """The days that hold an index, ascending, and their indices."""
    try:
        indices = index_states(client, names.all_days)
    except NotFoundError:
        # Before the first row there is no alias; without a ledger there is no plane.
        client.indices.get(index=names.ledger)
        return {}
    days = ((names.day_of(held.name), held) for held in indices)
    return dict(sorted(((day, held) for day, held in days if day), key=lambda pair: pair[0]))


def ensure_day(client: Elasticsearch, names: Names, day: date) -> str:
    """The alias of a day's live index, which is created when there is none.

    Raises:
        DayUnavailable: the index cannot be written to now.
    """
    alias = names.day(day)
    for _ in range(TRIES):
        indices = indices_of_day(client, names, day)
        if len(indices.live) == 1:
            require_available(client, alias)
            return alias
        if indices.live:
            raise PlaneError(
                f"In Elasticsearch the alias {alias} names several indices, "
                f"{', '.join(indices.live)}. Take all but the right one out of it, then "
                f"materialise the partition {day}."
            )
        create(client, names, indices.next, live_as=alias)
    raise PlaneError(f"Elasticsearch created {alias} and does not hold it. Try again.")


def create(client: Elasticsearch, names: Names, index: str, *, live_as: str | None = None) -> None:
    """Creates an index, with its aliases from the first moment on when it is a live one.

    Raises:
        PlaneNotSetUp: there is no template, so the server would guess the mapping.
    """
    if not client.indices.exists_index_template(name=names.all_days):
        raise PlaneNotSetUp(
            f"Elasticsearch has no index template {names.all_days}. Run `fraiseql-assets setup`."
        )
    aliases = {name: {} for name in (live_as, names.all_days)} if live_as else {}
    try:
        client.indices.create(index=index, aliases=aliases)
    except BadRequestError as error:
        # Another process has created it. The caller checks whether that index is live.
        if error.error != "resource_already_exists_exception":
            raise


def drop(client: Elasticsearch, *indices: str) -> None:
    """Deletes indices that exist."""
    for index in indices:
        client.options(ignore_status=404).indices.delete(index=index)
