"""What answers queries: PostgreSQL, or a FraiseQL server. Both implement the same protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.graphql.planning.result import Result
from flight_service.graphql.request.selection import Operation
from flight_service.graphql.sources.registry import Loaded
from fraiseql_assets.cancellation import Cancellation


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A large result that is offered as several endpoints, each of which has a part of the rows."""

    handle: str
    count: int
    expires: datetime
    rows: int
    """The estimated number of rows of all endpoints together."""


class Plan(Protocol):
    """A planned query. It is the same for all principals with the same access, so it is cached."""

    @property
    def result(self) -> Result:
        """The result, whose Arrow schema is known before anything is read."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes the plan takes in memory, apart from the query."""
        ...

    def explain(self) -> Sequence[Mapping[str, Any]]:
        """How each root is read, as JSON values."""
        ...

    def endpoints(self, principal: Principal, field: str | None) -> Endpoints | None:
        """The endpoints of a large list; None if the result is read as one.

        Raises:
            QueryRefused: there is no root of that key.
        """
        ...

    def batches(
        self,
        principal: Principal,
        field: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Reads the result, in batches of `result.schema(field)`. Closing the iterator cancels the
        work.

        Raises:
            GraphQLFailure: as soon as it is known, which may be after some batches.
        """
        ...

    def json(
        self, principal: Principal, cancellation: Cancellation | None = None
    ) -> Iterator[bytes]:
        """Reads the result as the members of the JSON object `data`, without its braces.

        Raises:
            GraphQLFailure: as soon as it is known, which may be after some pieces.
        """
        ...


class Backend(Protocol):
    """Plans queries and reads their results. Thread-safe."""

    def plan(self, loaded: Loaded, operation: Operation, principal: Principal) -> Plan:
        """Plans a valid query.

        Raises:
            QueryRefused, LimitExceeded, NotAuthorised: it cannot be answered as it is.
            SchemaUnavailable, DatabaseFailed: it cannot be answered now.
        """
        ...

    def close(self) -> None:
        """Closes connections."""
        ...
