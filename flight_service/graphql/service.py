"""GraphQL as Flight and HTTP use it: prepare a request, then read its result."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.cancellation import Cancellation
from flight_service.graphql.errors import NotAQuery
from flight_service.graphql.execution.parallel import Offer, Snapshots
from flight_service.graphql.execution.reader import (
    Reading,
    picked,
    result_batches,
    result_json,
    result_schema,
)
from flight_service.graphql.execution.session import session_settings
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.introspection import usable_queries
from flight_service.graphql.planning.plan import Plan
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolUsage
from flight_service.graphql.request.cache import ByteCache, CacheUsage
from flight_service.graphql.request.operation import Limits, Operation, read_operation
from flight_service.graphql.sources.ctid_ranges import Pages
from flight_service.graphql.sources.registry import Loaded, SchemaRegistry
from flight_service.graphql.sources.source import relation_of
from flight_service.graphql.upstream.client import FraiseqlServer
from flight_service.graphql.upstream.forwarding import Forwarding
from fraiseql_assets.settings import Settings

BYTES_PER_CHARACTER = 300
"""About how much memory a character of a query takes once it is planned, at most: of its syntax
tree, its shapes and its checks."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GraphQL request, as it comes over any transport."""

    query: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation_name: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is valid, permitted and planned. Nothing has been read for it yet."""

    operation: Operation
    plan: Plan
    principal: Principal
    loaded: Loaded


class GraphQL:
    """Answers GraphQL queries from PostgreSQL, or where no database but a FraiseQL server is set,
    through that. Thread-safe; asks no server until it must."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(
            settings.database_url.get_secret_value(),
            connections=settings.graphql_connections,
            timeout_seconds=settings.graphql_timeout_seconds,
            wait_seconds=settings.graphql_wait_seconds,
            connect_seconds=settings.probe_timeout_seconds,
            stall_seconds=settings.graphql_stall_seconds,
        )
        forwards = bool(settings.graphql_url) and "database_url" not in settings.model_fields_set
        self.registry = SchemaRegistry(
            settings.schema_path, self.database.ask, is_enforced_here=not forwards
        )
        self._limits = Limits(
            settings.graphql_max_depth,
            settings.graphql_max_fields,
            settings.graphql_max_complexity,
            settings.graphql_max_conditions,
        )
        self._reading = Reading(self.database, settings.batch_rows, settings.graphql_max_rows)
        self.snapshots = Snapshots(
            self._reading,
            Database(
                settings.database_url.get_secret_value(),
                connections=settings.graphql_snapshots,
                timeout_seconds=settings.graphql_timeout_seconds,
                wait_seconds=0,
                connect_seconds=settings.probe_timeout_seconds,
                stall_seconds=settings.graphql_stall_seconds,
            ),
            rows=settings.graphql_parallel_rows,
            endpoints=settings.graphql_parallel_endpoints,
            seconds=settings.graphql_snapshot_seconds,
        )
        self.server: FraiseqlServer | None = None
        """The FraiseQL server, where one is set."""
        if settings.graphql_url:
            self.server = FraiseqlServer(
                settings.graphql_url,
                settings.graphql_timeout_seconds,
                settings.graphql_forward_bytes,
            )
        self.is_guarded = settings.jwt_secret is not None
        """Whether principals are known by their tokens."""
        self._forwarding: Forwarding | None = None
        if self.server and forwards:
            self._forwarding = Forwarding(
                self.server,
                knows_principals=settings.jwt_secret is not None,
                batch_rows=settings.batch_rows,
                max_rows=settings.graphql_max_rows,
            )
        self._plans: ByteCache[tuple[Operation, Plan]] = ByteCache(settings.graphql_cache_bytes)

    @property
    def forwards(self) -> bool:
        """Whether queries are the FraiseQL server's to answer."""
        return self._forwarding is not None

    def prepare(self, request: Request, principal: Principal) -> Prepared:
        """Validates and plans a query for a principal; what was planned before is remembered.

        Raises:
            QueryRefused, LimitExceeded, NotAuthorised: it cannot be answered as it stands.
            SchemaUnavailable, DatabaseFailed: it cannot be answered now.
        """
        loaded = self.registry.current()
        loaded.settle()
        key = self._key(loaded, request, principal)
        found = self._plans.get(key)
        if found is None:
            found = self._planned(loaded, request, principal)
            operation, plan = found
            if not any(root.name.startswith("__") for root in operation.roots):
                self._plans.put(key, found, _size(request, plan))
        return Prepared(*found, principal, loaded)

    def schema(self, prepared: Prepared, field: str | None = None) -> pa.Schema:
        """The Arrow schema of a result; see `execution.reader.result_schema`."""
        return result_schema(prepared.plan, field)

    def batches(
        self, prepared: Prepared, field: str | None = None, cancellation: Cancellation | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The result as Arrow; see `flight_service.graphql.execution.reader.result_batches`."""
        if self._forwarding is not None:
            return self._forwarding.batches(
                prepared.loaded.schema,
                prepared.operation,
                prepared.plan,
                prepared.principal,
                field,
                cancellation,
            )
        return result_batches(
            self._reading, prepared.plan, _settings(prepared), field, cancellation
        )

    def parts(self, prepared: Prepared, field: str | None = None) -> Offer | None:
        """What a large list is offered as; see `flight_service.graphql.execution.parallel`."""
        root = picked(prepared.plan, field)
        if root is None or root.table is None:
            return None
        operation = prepared.operation
        alone = replace(operation, roots=tuple(r for r in operation.roots if r.key == root.key))
        schema, principal = prepared.loaded.schema, prepared.principal
        [name] = {one.name for one in alone.roots}
        known = prepared.loaded.sources(name)

        def part(pages: Pages | None) -> Plan:
            return compile_plan(
                schema, lambda _: known, alone, principal, self._reading.max_rows, pages
            )

        return self.snapshots.offer(root, principal, _settings(prepared), part)

    def json(self, prepared: Prepared, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        """The result as JSON; see `flight_service.graphql.execution.reader.result_json`."""
        return result_json(self._reading, prepared.plan, _settings(prepared), cancellation)

    def explain(self, prepared: Prepared) -> dict[str, Any]:
        """How a request is answered: for each root its source, why no faster one, its SQL."""
        return {
            "roots": [
                {
                    "field": root.key,
                    "source": root.choice.source,
                    "reads": root.choice.how,
                    "left_out": list(root.choice.left_out),
                    "columns": [f"{one.name}: {one.type}" for one in root.schema],
                    "sql": root.sql,
                    "values": list(root.values),
                }
                for root in prepared.plan.statements
            ]
        }

    def versions(self, principal: Principal) -> list[dict[str, Any]]:
        """The relations that the schema in use reads for a principal, with its version.

        Raises:
            SchemaUnavailable: there is none.
        """
        loaded = self.registry.current()
        usable = usable_queries(loaded.schema, access_of(loaded.schema, principal))
        names = {relation_of(loaded.schema, query) for query in usable}
        return [
            {
                "view_name": name,
                "version": loaded.version,
                "created_at": loaded.loaded_at.isoformat(),
            }
            for name in sorted(names)
        ]

    def cache_usage(self) -> CacheUsage:
        """How the cache of planned queries was used so far."""
        return self._plans.usage()

    def pool_usage(self) -> dict[str, PoolUsage]:
        """How the connections to PostgreSQL are used now: those of `queries` and `snapshots`."""
        return {"queries": self.database.usage(), "snapshots": self.snapshots.usage()}

    def clear_cache(self) -> int:
        """Clears the planned queries; returns how many they were."""
        return self._plans.clear()

    def close(self) -> None:
        """Closes the database's connections."""
        self.snapshots.close()
        self.database.close()

    def _planned(
        self, loaded: Loaded, request: Request, principal: Principal
    ) -> tuple[Operation, Plan]:
        operation = read_operation(
            loaded.schema, request.query, request.variables, request.operation_name, self._limits
        )
        if operation.kind != "query":
            raise NotAQuery(operation.kind)
        if self._forwarding is not None:
            return operation, self._forwarding.plan(loaded.schema, operation, principal)
        plan = compile_plan(
            loaded.schema, loaded.sources, operation, principal, self._reading.max_rows
        )
        return operation, plan

    def _key(self, loaded: Loaded, request: Request, principal: Principal) -> Any:
        """What a plan depends on: not on the other claims, which differ with every token."""
        claims = {name: principal.claims.get(name) for name in sorted(loaded.claims)}
        # The order of an object's keys matters to `orderBy`.
        variables = msgspec.json.encode([dict(request.variables), claims])
        return (
            loaded.version,
            loaded.catalogue_version,
            request.query,
            request.operation_name,
            variables,
            access_of(loaded.schema, principal),
        )


def _settings(prepared: Prepared) -> dict[str, str]:
    variables = prepared.loaded.schema.compiled.session_variables
    return session_settings(variables, prepared.principal)


def _size(request: Request, plan: Plan) -> int:
    """About how many bytes a planned query takes."""
    texts = sum(
        len(root.sql) + len(root.rows_sql) + sum(map(len, root.values)) for root in plan.statements
    )
    variables = len(msgspec.json.encode(dict(request.variables)))
    return 10_000 + len(request.query) * BYTES_PER_CHARACTER + 4 * (texts + 2 * variables)
