"""The days that a search cannot reach now."""

from collections.abc import Sequence

from elasticsearch import Elasticsearch, NotFoundError

from fraiseql_assets.operational.availability import index_states
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.planes import PlaneUnavailable

SHOWN = 5


class NotAllSearched(PlaneUnavailable):
    """Nothing was found, and some days could not be searched, so it may be there."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"Nothing is found in the days that were searched. {not_searched(missing)}"
        )


def not_started(client: Elasticsearch, names: Sequence[Names]) -> list[str]:
    """The days whose index has not started, as `events of 2026-01-31`, ascending."""
    missing: list[str] = []
    for each in names:
        try:
            states = index_states(client, each.all_days)
        except NotFoundError:
            continue
        lost = [held.name for held in states if not held.closed and not held.started]
        missing += [f"{each.dataset} of {each.day_of(index)}" for index in sorted(lost)]
    return missing


def not_searched(missing: Sequence[str]) -> str:
    """A sentence on days that are not searched, and what to do."""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return (
        f"Not searched: {', '.join(missing[:SHOWN])}{more}. Elasticsearch has not started the "
        "index. Try again soon; `GET /_cluster/allocation/explain` says why it has not."
    )
