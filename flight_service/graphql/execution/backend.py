"""PostgreSQL as the backend that answers queries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.graphql.execution.parallel import Snapshots
from flight_service.graphql.execution.reader import Reading, result_batches, result_json
from flight_service.graphql.execution.session import Session, session_of
from flight_service.graphql.planning.backend import Endpoints
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import StatementPlan
from flight_service.graphql.planning.result import Result
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.database import Database
from flight_service.graphql.postgres.pool import PoolLimits
from flight_service.graphql.request.selection import Operation
from flight_service.graphql.sources.ctid_ranges import CtidRange
from flight_service.graphql.sources.registry import Loaded
from flight_service.graphql.sources.source import Sources
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class PostgresPlan:
    """A query planned as SQL statements; see `planning.backend.Plan`."""

    statements: StatementPlan
    result: Result
    _backend: "PostgresBackend"
    _session: Callable[[Principal], Session]
    _compile_part: Callable[[str, Principal, CtidRange | None], StatementPlan]
    """Plans a part of the root of that key."""
    _operation: Operation

    @property
    def size(self) -> int:
        return 4 * sum(
            len(root.sql) + len(root.rows_sql) + sum(map(len, root.values))
            for root in self.statements.statements
        )

    def explain(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "field": root.key,
                "source": root.choice.source,
                "reads": root.choice.how,
                "left_out": list(root.choice.left_out),
                "columns": [f"{one.name}: {one.type}" for one in root.result.schema],
                "sql": root.sql,
                "values": list(root.values),
            }
            for root in self.statements.statements
        ]

    def endpoints(self, principal: Principal, field: str | None) -> Endpoints | None:
        root = self.statements.statement(field)
        if root is None or root.table is None:
            return None
        return self._backend.snapshots.offer(
            root,
            principal,
            self._session(principal),
            lambda ctids: self._compile_part(root.key, principal, ctids),
            self._operation.size + self.size,
        )

    def batches(
        self,
        principal: Principal,
        field: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        session = self._session(principal)
        return result_batches(self._backend.reading, self.statements, session, field, cancellation)

    def json(
        self, principal: Principal, cancellation: Cancellation | None = None
    ) -> Iterator[bytes]:
        session = self._session(principal)
        return result_json(self._backend.reading, self.statements, session, cancellation)


class PostgresBackend:
    """Answers queries from PostgreSQL; see `planning.backend.Backend`. Connects when first used."""

    def __init__(self, settings: Settings) -> None:
        self._is_guarded = settings.is_guarded
        limits = PoolLimits(settings.graphql_connections, settings.graphql_wait_seconds)
        self.database = _database(settings, limits)
        endpoints = settings.graphql_parallel_endpoints
        if self._is_guarded:
            # A principal that reads all of them at once waits for none.
            endpoints = min(endpoints, self.database.for_reader)
        self._limit = RowLimit(settings.graphql_max_rows)
        self.reading = Reading(self.database, settings.batch_rows, self._limit)
        snapshots = settings.graphql_snapshots
        self.snapshots = Snapshots(
            self.reading,
            _database(settings, PoolLimits(snapshots, wait_seconds=0, for_large=snapshots)),
            rows=settings.graphql_parallel_rows,
            endpoints=endpoints,
            seconds=settings.graphql_snapshot_seconds,
        )

    def plan(self, loaded: Loaded, operation: Operation, principal: Principal) -> PostgresPlan:
        """Compiles a query to SQL."""
        schema = loaded.schema
        known: dict[str, Sources] = {}

        def sources(query: str) -> Sources:
            # The parts of a large result must be read from the same source as the whole.
            if query not in known:
                known[query] = loaded.sources(query)
            return known[query]

        def compile_part(key: str, principal: Principal, ctids: CtidRange | None) -> StatementPlan:
            roots = tuple(root for root in operation.roots if root.key == key)
            alone = replace(operation, roots=roots)
            return compile_plan(schema, sources, alone, principal, self._limit, ctids)

        def session(principal: Principal) -> Session:
            variables = schema.compiled.session_variables
            return session_of(variables, principal, is_guarded=self._is_guarded)

        plan = compile_plan(schema, sources, operation, principal, self._limit)
        return PostgresPlan(plan, plan.result, self, session, compile_part, operation)

    def close(self) -> None:
        """Closes the connections."""
        self.snapshots.close()
        self.database.close()


def _database(settings: Settings, limits: PoolLimits) -> Database:
    return Database(
        settings.database_url.get_secret_value(),
        limits=limits,
        timeout_seconds=settings.graphql_timeout_seconds,
        connect_seconds=settings.probe_timeout_seconds,
        stall_seconds=settings.graphql_stall_seconds,
    )
