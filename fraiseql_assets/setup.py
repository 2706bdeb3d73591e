"""Everything that must be there before the first event: streams, tables, templates."""

import asyncio
from collections.abc import Sequence

from fraiseql_assets.planes import Plane
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.setup import setup_streams

PLANES = ("analytics", "operational")


def open_plane(name: str, settings: Settings) -> Plane:
    """The plane of this name, unconnected until it is asked for something."""
    from fraiseql_assets.analytics.plane import AnalyticsPlane
    from fraiseql_assets.operational.plane import OperationalPlane

    kinds = {kind.name: kind for kind in (AnalyticsPlane, OperationalPlane)}
    return kinds[name](settings)


def open_planes(settings: Settings) -> Sequence[Plane]:
    """Both planes, unconnected until they are asked for something."""
    return [open_plane(name, settings) for name in PLANES]


def other_plane(plane: Plane, settings: Settings) -> Plane:
    """The plane that `plane` is not."""
    [name] = (name for name in PLANES if name != plane.name)
    return open_plane(name, settings)


def setup_all(settings: Settings) -> list[str]:
    """Creates or migrates the streams and both planes; idempotent. Returns what was done, in lines.

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
    return done
