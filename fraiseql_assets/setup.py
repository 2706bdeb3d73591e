"""Everything that must be there before the first event: streams, tables, templates."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, cast

from fraiseql_assets.planes import LedgerEntry, Plane, PlaneOff
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.setup import setup_streams

PLANES: tuple[Literal["analytics", "operational"], ...] = ("analytics", "operational")


def open_plane(name: str, settings: Settings) -> Plane:
    """The plane of this name, unconnected until it is asked for something."""
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.operational.plane import OperationalPlane

    kinds = {kind.name: kind for kind in (AnalyticsPlane, OperationalPlane)}
    return kinds[name](settings)


def open_planes(settings: Settings) -> Sequence[Plane]:
    """The planes that are switched on, unconnected until they are asked for something."""
    return [open_plane(name, settings) for name in PLANES if settings.has_plane(name)]


def other_plane(plane: Plane, settings: Settings) -> Plane:
    """The plane that `plane` is not."""
    [name] = (name for name in PLANES if name != plane.name)
    return (
        open_plane(name, settings) if settings.has_plane(name) else cast(Plane, SwitchedOff(name))
    )


class SwitchedOff:
    """A plane that is switched off: it holds nothing, and can be asked for nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        return []

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise PlaneOff(self.name)


def setup_all(settings: Settings) -> list[str]:
    """Creates or migrates the streams and the planes; idempotent. Returns what was done, in lines.

    Raises:
        LogError: NATS cannot be reached or refuses.
        PlaneError: a plane cannot be reached or refuses.
    """
    done = asyncio.run(setup_streams(settings))
    for plane in open_planes(settings):
        try:
            done += [f"{plane.name} {line}" for line in plane.setup()]
        finally:
            plane.close()
    done += [str(PlaneOff(name)) for name in PLANES if not settings.has_plane(name)]
    return done
