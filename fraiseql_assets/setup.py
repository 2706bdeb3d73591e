"""Creates everything that is needed before the first event: streams, tables, templates."""

import asyncio
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date
from itertools import chain
from typing import Any, cast

from fraiseql_assets.datasets import DATASETS, EVENTS, Dataset
from fraiseql_assets.planes import (
    LedgerEntry,
    Plane,
    PlaneNotSetUp,
    PlaneOff,
    committed_ranges,
)
from fraiseql_assets.settings import PLANES, Settings
from fraiseql_assets.stream.setup import setup_streams


def open_plane(name: str, settings: Settings, dataset: Dataset = EVENTS) -> Plane:
    """The plane of this name for a dataset. It connects on first use."""
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.operational.plane import OperationalPlane

    if name == AnalyticsPlane.name:
        return AnalyticsPlane(settings)
    return OperationalPlane(settings, dataset)


def open_planes(settings: Settings, dataset: Dataset = EVENTS) -> Sequence[Plane]:
    """The planes of a dataset that are switched on. They connect on first use."""
    on = [name for name in dataset.planes if settings.has_plane(name)]
    return [open_plane(name, settings, dataset) for name in on]


def other_plane(plane: Plane, settings: Settings) -> Plane:
    """The plane from which a rebuild of `plane` takes rows that the log has lost: the other plane
    of its dataset, or a second connection to `plane` if there is no other."""
    names = [name for name in plane.dataset.planes if name != plane.name] or [plane.name]
    if settings.has_plane(names[0]):
        return open_plane(names[0], settings, plane.dataset)
    return cast(Plane, SwitchedOff(names[0]))


class SwitchedOff:
    """A plane that is switched off. It holds nothing and supports no other operations."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        return []

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise PlaneOff(self.name)


def setup_all(settings: Settings) -> list[str]:
    """Creates or migrates the streams and the planes; idempotent. Returns what was done, as lines.

    A stream that is missing although planes hold its messages begins after them: the ledgers would
    take new messages under the same sequences for done.

    Raises:
        LogError: NATS cannot be reached or refuses.
        PlaneError: a plane cannot be reached or refuses.
    """
    done = asyncio.run(setup_streams(settings, lambda stream: _first_unread(settings, stream)))
    for plane in chain.from_iterable(open_planes(settings, each) for each in DATASETS.values()):
        try:
            done += [f"{plane.name} {line}" for line in plane.setup()]
        finally:
            plane.close()
    done += [str(PlaneOff(name)) for name in PLANES if not settings.has_plane(name)]
    return done


def _first_unread(settings: Settings, stream: str) -> int:
    """The first sequence after all that the planes hold of a stream, 1 if they hold nothing."""
    reached = 0
    for dataset in DATASETS.values():
        if dataset.stream(settings) != stream:
            continue
        for plane in open_planes(settings, dataset):
            with closing(plane), suppress(PlaneNotSetUp):
                held = committed_ranges(plane.ledger(stream))
                reached = max([reached, *(each.last for each in held)])
    return reached + 1
