"""Every kind of ticket, said once: its class, and what makes a flight of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from flight_service.assets import Asset, AssetFlights, AssetSource, named
from flight_service.flights import Listing, Resolver
from flight_service.log_source import LogSource
from flight_service.observer_events import ObserverEventFlights, ObserverEvents
from flight_service.plane_source import PlaneSource
from flight_service.tail import Tail, TailFlights
from flight_service.tickets import Named, Ticket
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.catalogue import STREAM_EVENTS
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Registry:
    """What the server serves."""

    resolvers: Mapping[type[Ticket], Resolver]
    named: Named
    """The ticket that a bare name stands for."""
    listings: tuple[Listing, ...]
    """What ListFlights shows."""


def registry(settings: Settings) -> Registry:
    """Everything that is served under these settings. No server is asked for anything yet."""
    analytics, operational = AnalyticsReader(settings), OperationalReader(settings)
    sources: dict[str, AssetSource] = {STREAM_EVENTS.key: LogSource(settings)}
    for reader in (analytics, operational):
        sources |= {key: PlaneSource(reader, key) for key in reader.assets()}
    assets = AssetFlights(sources)
    return Registry(
        resolvers={
            Asset: assets.resolve,
            ObserverEvents: ObserverEventFlights(analytics).resolve,
            Tail: TailFlights(settings).resolve,
        },
        named=named,
        listings=(assets.listing,),
    )
