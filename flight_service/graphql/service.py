"""GraphQL for Flight and HTTP: prepares a request, then reads its result from a backend."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.graphql.errors import NotAQuery
from flight_service.graphql.execution.backend import PostgresBackend
from flight_service.graphql.execution.result_cache import ResultCache
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.backend import Backend, Endpoints, Plan
from flight_service.graphql.planning.caching import Lifetime, identity_of, lifetime_of
from flight_service.graphql.planning.introspection import hides_names, usable_queries
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.pool import PoolUsage
from flight_service.graphql.request.cache import ByteCache, CacheUsage
from flight_service.graphql.request.operation import Limits, Operation, read_operation
from flight_service.graphql.request.principal_locks import PrincipalLocks
from flight_service.graphql.sources.registry import Loaded, SchemaRegistry
from flight_service.graphql.sources.source import relation_of
from flight_service.graphql.upstream.backend import FraiseqlBackend, is_complete
from flight_service.graphql.upstream.client import FraiseqlServer, Reply
from flight_service.limits import reader_of
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class Request:
    """A GraphQL request, over any transport."""

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
    lifetime: Lifetime | None = None
    """How long its result may be cached; None if it may not."""
    key: Hashable = None
    """What its result depends on; None if it is not cached."""


class _NotKept(Exception):
    """A response that is not cached."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


class GraphQL:
    """Answers GraphQL queries from PostgreSQL, or through a FraiseQL server if that is set and no
    database is. Thread-safe; connects to no server before it is needed."""

    def __init__(self, settings: Settings) -> None:
        self.server: FraiseqlServer | None = None
        """The FraiseQL server, if one is set."""
        if settings.graphql_url:
            self.server = FraiseqlServer(
                settings.graphql_url,
                settings.graphql_timeout_seconds,
                settings.graphql_forward_bytes,
            )
        self.is_guarded = settings.is_guarded
        """Whether principals are known by their tokens."""
        self.postgres = PostgresBackend(settings)
        self.forwards = self.server is not None and "database_url" not in settings.model_fields_set
        """Whether the FraiseQL server answers queries."""
        self._backend: Backend = self.postgres
        if self.server is not None and self.forwards:
            self._backend = FraiseqlBackend(
                self.server,
                knows_principals=self.is_guarded,
                batch_rows=settings.batch_rows,
                limit=RowLimit(settings.graphql_max_rows),
            )
        self.registry = SchemaRegistry(
            settings.schema_path, self.postgres.database.ask, is_enforced_here=not self.forwards
        )
        self._limits = Limits(
            settings.graphql_max_depth,
            settings.graphql_max_fields,
            settings.graphql_max_complexity,
            settings.graphql_max_conditions,
        )
        self._plans: ByteCache[tuple[Operation, Plan]] = ByteCache(settings.graphql_cache_bytes)
        self._planned_version = (0, 0)
        self._planning_locks = PrincipalLocks(settings.graphql_wait_seconds)
        self.results = ResultCache(settings.graphql_result_cache_bytes)
        """The results of queries with `cache_ttl_seconds`."""

    def prepare(self, request: Request, principal: Principal) -> Prepared:
        """Validates and plans a query for a principal. Plans are cached.

        Raises:
            QueryRefused, LimitExceeded, NotAuthorised: it cannot be answered as it is.
            SchemaUnavailable, DatabaseFailed: it cannot be answered now.
            Busy: the principal has too many new queries.
        """
        loaded = self.registry.current()
        loaded.recheck_empty_relations()
        self._drop_outdated(loaded)
        key = self._key(loaded, request, principal)
        found = self._plans.get(key)
        if found is None:
            with (
                self._planning_locks.hold(reader_of(principal, is_guarded=self.is_guarded)),
                span("plan GraphQL"),
            ):
                # Another thread may have planned it meanwhile.
                found = self._plans.get(key) or self._planned(loaded, request, principal)
                operation, plan = found
                if not any(root.name.startswith("__") for root in operation.roots):
                    self._plans.put(key, found, operation.size + plan.size)
        lifetime = lifetime_of(loaded.schema, found[0]) if self.results.is_on else None
        if lifetime is None:
            return Prepared(*found, principal, loaded)
        whom = identity_of(principal, is_guarded=self.is_guarded)
        return Prepared(*found, principal, loaded, lifetime, (key, whom))

    def schema(self, prepared: Prepared, field: str | None = None) -> pa.Schema:
        """The Arrow schema of a result; see `planning.result.Result.schema`."""
        return prepared.plan.result.schema(field)

    def batches(
        self, prepared: Prepared, field: str | None = None, cancellation: Cancellation | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The result as Arrow, perhaps from the cache; see `planning.backend.Plan.batches`."""

        def read() -> Iterator[pa.RecordBatch]:
            return prepared.plan.batches(prepared.principal, field, cancellation)

        return self._through(prepared, ("arrow", field), read, _held_bytes, cancellation)

    def endpoints(self, prepared: Prepared, field: str | None = None) -> Endpoints | None:
        """The endpoints of a large list; see `planning.backend.Plan.endpoints`."""
        return prepared.plan.endpoints(prepared.principal, field)

    def json(self, prepared: Prepared, cancellation: Cancellation | None = None) -> Iterator[bytes]:
        """The result as JSON, perhaps from the cache; see `planning.backend.Plan.json`."""

        def read() -> Iterator[bytes]:
            return prepared.plan.json(prepared.principal, cancellation)

        return self._through(prepared, ("json",), read, len, cancellation)

    def forwarded(
        self,
        prepared: Prepared,
        what: Hashable,
        ask: Callable[[], Reply],
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """The FraiseQL server's response to a request, perhaps from the cache. `what` is what the
        response depends on besides the query and the principal."""
        if prepared.lifetime is None:
            return ask()

        def read() -> Iterator[Reply]:
            reply = ask()
            if not is_complete(reply):
                raise _NotKept(reply)
            yield reply

        try:
            [reply] = self._through(
                prepared, ("forwarded", what), read, lambda one: len(one.content), cancellation
            )
        except _NotKept as other:
            return other.reply
        return reply

    def explain(self, prepared: Prepared) -> dict[str, Any]:
        """How each root is read: its source, why no faster one, its SQL."""
        return {"roots": list(prepared.plan.explain())}

    def versions(self, principal: Principal) -> list[dict[str, Any]]:
        """The relations that the schema in use reads for a principal, with the schema's version.

        Raises:
            SchemaUnavailable: there is no schema.
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
        return {
            "queries": self.postgres.database.usage(),
            "snapshots": self.postgres.snapshots.usage(),
        }

    def clear_cache(self) -> tuple[int, int]:
        """Removes all cached plans and results; returns their numbers."""
        return self._plans.clear(), self.results.clear()

    def close(self) -> None:
        """Closes all connections."""
        for backend in {self._backend, self.postgres}:
            backend.close()

    def _through(
        self,
        prepared: Prepared,
        what: tuple[Hashable, ...],
        read: Callable[[], Iterator[Piece]],
        size_of: Callable[[Piece], int],
        cancellation: Cancellation | None,
    ) -> Iterator[Piece]:
        if prepared.lifetime is None:
            return read()
        key = (prepared.key, *what)
        return self.results.through(key, prepared.lifetime, read, size_of, cancellation)

    def _planned(
        self, loaded: Loaded, request: Request, principal: Principal
    ) -> tuple[Operation, Plan]:
        schema = loaded.schema
        operation = read_operation(
            schema,
            request.query,
            request.variables,
            request.operation_name,
            self._limits,
            hide_suggestions=hides_names(schema, access_of(schema, principal)),
        )
        if operation.kind != "query":
            raise NotAQuery(operation.kind)
        return operation, self._backend.plan(loaded, operation, principal)

    def _drop_outdated(self, loaded: Loaded) -> None:
        """Removes the plans of an earlier schema or catalogue, which refer to all of it."""
        version = loaded.version, loaded.catalogue_version
        if version != self._planned_version:
            self._planned_version = version
            self._plans.clear()
            self.results.clear()

    def _key(self, loaded: Loaded, request: Request, principal: Principal) -> Any:
        """What a plan depends on. That excludes most claims, which differ with every token."""
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


def _held_bytes(batch: pa.RecordBatch) -> int:
    """How much memory a batch holds, what its slices are of included."""
    return batch.get_total_buffer_size()
