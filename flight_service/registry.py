"""Everything that the service serves: ticket types, listings, actions, HTTP routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.routing import BaseRoute

from flight_service.actions import HEALTH_CHECK, AnyAction
from flight_service.assets import Asset, AssetFlights, AssetSource, named
from flight_service.authentication import Principal
from flight_service.batched_queries import BatchedFlights, BatchedQueries
from flight_service.bulk_export import BulkExport, ExportFlights
from flight_service.changed_entities import ChangedEntities
from flight_service.columns import with_columns
from flight_service.exchange.service import Exchange
from flight_service.flight_http import flight_routes
from flight_service.flights import Flight, Listing, Resolver
from flight_service.graphql.service import GraphQL
from flight_service.graphql.transport.explain import explain_action
from flight_service.graphql.transport.flight import GraphQLFlights, GraphQLPart, GraphQLQuery
from flight_service.graphql.transport.http import graphql_route
from flight_service.identity.signing import signing_key
from flight_service.limits import StreamLimits
from flight_service.log_source import LogSource
from flight_service.monitoring.metrics import Sampler
from flight_service.monitoring.pipeline import PipelineSampler
from flight_service.monitoring.readiness import Probe, probes_of
from flight_service.monitoring.samplers import graphql_sampler, request_log_sampler
from flight_service.observer_events import ObserverEventFlights, ObserverEvents
from flight_service.plane_source import PlaneSource
from flight_service.request_log import recorded_resolver, recorded_route
from flight_service.runs.actions import run_actions
from flight_service.scopes import RequiredScopes, kinds_of
from flight_service.search import Search, SearchFlights, search_route
from flight_service.sql.actions import SqlActions
from flight_service.sql.catalogue import Catalogue
from flight_service.sql.commands import SqlCommand
from flight_service.sql.engines.clickhouse import AnalyticsCatalogue
from flight_service.sql.engines.postgres import FraiseqlCatalogue
from flight_service.sql.service import FlightSql
from flight_service.tail import Tail, TailFlights, new_events
from flight_service.tickets import Named, Ticket, TicketReader
from flight_service.views import OptimizedView, ViewFlights
from flight_service.writing.events import EventLog
from flight_service.writing.service import Writing
from flight_service.writing.tables import Tables
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.catalogue import LOGS
from fraiseql_assets.datasets import DATASETS
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.operational.search.engine import Search as SearchEngine
from fraiseql_assets.request_log.publisher import RequestRecorder, request_log
from fraiseql_assets.settings import Dependency, Settings


@dataclass(frozen=True, slots=True)
class Registry:
    """What the service serves."""

    resolvers: Mapping[type[Ticket], Resolver]
    """The resolver of each ticket type."""
    named: Named
    """Returns the ticket of a name."""
    listings: tuple[Listing, ...]
    """The flights of ListFlights."""
    actions: tuple[AnyAction, ...] = (HEALTH_CHECK,)
    routes: tuple[BaseRoute, ...] = ()
    """Routes of the HTTP side besides `/health`."""
    writing: Writing | None = None
    """The targets of DoPut and uploads."""
    exchange: Exchange | None = None
    """The handler of DoExchange."""
    limits: StreamLimits | None = None
    """Limits that Flight and HTTP share; without them the server has its own."""
    sql: SqlActions | None = None
    """Flight SQL's actions and DoPut; None where it is switched off."""
    samplers: tuple[Sampler, ...] = ()
    """The samplers of metrics that are not counted."""
    probes: Mapping[Dependency, Probe | None] = field(default_factory=dict)
    """The probe of each server; None for a server that is switched off."""


def registry(settings: Settings, recorder: RequestRecorder | None = None) -> Registry:
    """The registry of the settings. Sends no request.

    GraphQL requests are recorded by `recorder`, or as the settings say.

    Raises:
        SettingError: a setting does not fit.
    """
    recorder = recorder or request_log(settings)
    analytics = AnalyticsReader(settings) if settings.analytics_plane else None
    operational = OperationalReader(settings) if settings.operational_plane else None
    sources: dict[str, AssetSource] = {
        asset.key: LogSource(settings, asset.key, DATASETS[asset.dataset]) for asset in LOGS
    }
    for reader in filter(None, (analytics, operational)):
        sources |= {key: PlaneSource(reader, key) for key in reader.assets()}
    assets = AssetFlights(sources)
    graphql = GraphQL(settings)
    events = new_events(settings)
    ChangedEntities(events, graphql.results)
    engine = SearchEngine(settings)
    queries = GraphQLFlights(graphql)
    is_guarded = settings.is_guarded
    catalogues = catalogues_of(settings, graphql)
    key = signing_key(settings, "statements")
    sql = None
    if settings.sql:
        ingests = bool(settings.writable)
        sql = FlightSql(catalogues, is_guarded=is_guarded, key=key, ingests=ingests)
    views = ViewFlights(
        next((one for one in catalogues if one.dialect == "postgres"), None),
        queries.resolve,
        raw_sql=settings.raw_sql,
        is_guarded=is_guarded,
    )
    batched = BatchedFlights(catalogues, raw_sql=settings.raw_sql, is_guarded=is_guarded)
    limits = StreamLimits(settings)
    resolvers: dict[type[Ticket], Resolver] = {
        Asset: assets.resolve,
        ObserverEvents: ObserverEventFlights(analytics).resolve,
        Tail: TailFlights(settings, events).resolve,
        Search: SearchFlights(engine).resolve,
        GraphQLQuery: recorded_resolver(queries.resolve, recorder),
        GraphQLPart: queries.resolve_part,
        OptimizedView: views.resolve,
        BatchedQueries: batched.resolve,
    }
    resolvers = {kind: with_columns(resolve) for kind, resolve in resolvers.items()}
    if sql is not None:
        resolvers[SqlCommand] = sql.resolve
    scoped: dict[type[Ticket], Resolver] = {}

    def resolve(ticket: Ticket, principal: Principal) -> Flight:
        return scoped[type(ticket)](ticket, principal)

    short = queries.named(named)
    exports = ExportFlights(
        views,
        next((one for one in catalogues if one.dialect == "clickhouse"), None),
        resolve,
        short,
        raw_sql=settings.raw_sql,
        is_guarded=settings.is_guarded,
    )
    # The selected columns of an export are columns of its rows, not of its chunks.
    resolvers[BulkExport] = exports.resolve
    actions: tuple[AnyAction, ...] = (
        HEALTH_CHECK,
        *queries.actions(),
        explain_action(graphql),
        *run_actions(settings),
    )
    required = RequiredScopes(settings, kinds_of(resolvers, actions))
    scoped.update({kind: required.resolver(kind, one) for kind, one in resolvers.items()})
    tickets = [kind for kind in scoped if kind is not SqlCommand]
    routes = (
        recorded_route(graphql_route(graphql, settings, limits), recorder, settings),
        search_route(engine, settings, limits),
        *flight_routes(assets, resolve, TicketReader(tickets, short), settings, limits),
    )
    written = writing(settings, graphql)
    return Registry(
        resolvers=scoped,
        named=short,
        listings=tuple(map(required.listing, (assets.listing, queries.listing))),
        actions=tuple(map(required.action, actions)),
        routes=tuple(map(required.route, routes)),
        sql=None if sql is None else SqlActions(sql),
        writing=written,
        exchange=Exchange(
            scoped,
            short,
            written,
            limits,
            settings.exchange_requests,
            settings.graphql_stall_seconds,
        ),
        limits=limits,
        samplers=(
            graphql_sampler(graphql),
            request_log_sampler(recorder),
            PipelineSampler(settings),
        ),
        probes=probes_of(settings, graphql),
    )


def catalogues_of(settings: Settings, graphql: GraphQL) -> list[Catalogue]:
    """The SQL catalogues of the settings."""
    catalogues: list[Catalogue] = []
    if settings.analytics_plane:
        catalogues.append(AnalyticsCatalogue(settings))
    if settings.schema_path is not None and not graphql.forwards:
        catalogues.append(FraiseqlCatalogue(settings, graphql))
    return catalogues


def writing(settings: Settings, graphql: GraphQL) -> Writing:
    """Writing to the log and to tables, as permitted by the settings."""
    tables = None if graphql.forwards else Tables(settings, graphql)
    return Writing(settings, EventLog(settings).open, tables and tables.open)
