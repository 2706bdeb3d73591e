"""The errors of a query, as one tree. Each message says what is wrong, where, and what to do.

GraphQLFailure
├── QueryRefused           the document or its variables are wrong: the client must change them
│   ├── QueryUnparsable    it is not GraphQL
│   ├── NotAQuery          a mutation or subscription, which is not executed here
│   ├── PersistedQueryNotFound  no query is stored for a hash: the client sends the query
│   ├── SnapshotGone       an endpoint is read after its snapshot was released
│   └── LimitExceeded      it is valid, but larger than a setting allows; names the setting
├── SchemaUnavailable      there is no compiled schema to use
├── NotAuthorised          the principal lacks a role, scope or claim
├── BadDocument            a stored value is not what the schema says; names path and row
├── DatabaseFailed         PostgreSQL refused a statement or the connection broke
│   ├── DatabaseUnavailable
│   │   └── Busy           too many requests are in progress
│   └── DeadlinePassed     the statement timeout has passed
├── StreamStalled          the client did not read its result
├── ServerFailed           the FraiseQL server answers with errors
│   └── ServerUnavailable  it does not answer
└── Cancelled              the client has disconnected
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from graphql import GraphQLError

from flight_service.errors import (
    BAD_GATEWAY,
    CANCELLED,
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAVAILABLE,
    UPSTREAM_UNAVAILABLE,
    ServiceError,
)

MAX_CHARACTERS = 1000
"""The longest message. Messages may quote what a client sent."""


class GraphQLFailure(ServiceError):
    """A query failed. Carries what a GraphQL response says of it."""

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] | None = None,
        locations: Sequence[tuple[int, int]] = (),
    ) -> None:
        message = message if len(message) <= MAX_CHARACTERS else f"{message[:MAX_CHARACTERS]}…"
        super().__init__(message)
        self.message = message
        self.path = path
        self.locations = tuple(locations)

    def formatted(self) -> list[dict[str, Any]]:
        """The `errors` of a GraphQL response."""
        error: dict[str, Any] = {"message": self.message, "code": self.code}
        if self.locations:
            error["locations"] = [{"line": line, "column": col} for line, col in self.locations]
        if self.path is not None:
            error["path"] = list(self.path)
        return [error | {"extensions": {"code": self.code}}]


class QueryRefused(GraphQLFailure):
    """The document, the operation or a variable is not valid against the schema."""

    code = "GRAPHQL_VALIDATION_FAILED"
    status = INVALID_ARGUMENT

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] | None = None,
        locations: Sequence[tuple[int, int]] = (),
        others: "Sequence[QueryRefused]" = (),
    ) -> None:
        super().__init__(message, path=path, locations=locations)
        self.others = tuple(others)

    def __str__(self) -> str:
        """The message for a transport that has room for only one."""
        where = ""
        if self.locations:
            line, column = self.locations[0]
            where = f" (line {line}, column {column})"
        more = f" And {len(self.others)} more." if self.others else ""
        return f"{self.message.rstrip('.')}{where}.{more}"

    def formatted(self) -> list[dict[str, Any]]:
        return super().formatted() + [form for other in self.others for form in other.formatted()]

    @classmethod
    def of(cls, errors: Sequence[GraphQLError]) -> "QueryRefused":
        """All errors that graphql-core found, as one."""
        first, *others = (
            cls(
                error.message,
                path=error.path,
                locations=[(at.line, at.column) for at in error.locations or ()],
            )
            for error in errors
        )
        first.others = tuple(others)
        return first


class QueryUnparsable(QueryRefused):
    """The text is not a GraphQL document."""

    code = "GRAPHQL_PARSE_FAILED"


class NotAQuery(QueryRefused):
    """A mutation or subscription, which this service does not execute."""

    code = "NOT_A_QUERY"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"Only FraiseQL executes a {kind}. Send it to the FraiseQL server, or set "
            "FRAISEQL_GRAPHQL_URL: mutations over HTTP are then forwarded there."
        )
        self.kind = kind


class LimitExceeded(QueryRefused):
    """The query is valid, but larger than a setting allows. The message names the setting."""

    code = "LIMIT_EXCEEDED"


class PersistedQueryNotFound(QueryRefused):
    """No query is stored for the hash. Clients know the message, and send the query."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    status = replace(INVALID_ARGUMENT, http=200)

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class SnapshotGone(QueryRefused):
    """The snapshot that an endpoint reads has been released."""

    code = "SNAPSHOT_GONE"

    def __init__(self) -> None:
        super().__init__(
            "The snapshot of this endpoint has been released: all endpoints have been read, or "
            "FRAISEQL_GRAPHQL_SNAPSHOT_SECONDS have passed. Call GetFlightInfo again for new ones."
        )


class SchemaUnavailable(GraphQLFailure):
    """There is no compiled schema to use. The message says why."""

    code = "SCHEMA_UNAVAILABLE"
    status = UNAVAILABLE


class NotAuthorised(GraphQLFailure):
    """The principal lacks a role, scope or claim that the query requires."""

    code = "FORBIDDEN"
    status = PERMISSION_DENIED


class BadDocument(GraphQLFailure):
    """A stored value does not have the type that the schema says."""

    code = "BAD_DOCUMENT"


class DatabaseFailed(GraphQLFailure):
    """PostgreSQL refused the statement, or the connection broke."""

    code = "DATABASE_ERROR"


class DatabaseUnavailable(DatabaseFailed):
    """PostgreSQL cannot be reached, or refuses the credentials."""

    code = "DATABASE_UNAVAILABLE"
    status = UNAVAILABLE


class Busy(DatabaseUnavailable):
    """Too many requests are in progress. The client should retry later."""

    code = "BUSY"
    retry_seconds: ClassVar[int] = 5
    """How long clients should wait before they retry."""


class DeadlinePassed(DatabaseFailed):
    """The statement ran longer than allowed."""

    code = "DEADLINE_EXCEEDED"
    status = DEADLINE_EXCEEDED


class StreamStalled(GraphQLFailure):
    """The query was cancelled, since the client did not read its result."""

    code = "STREAM_STALLED"
    status = DEADLINE_EXCEEDED

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The result was not read for {seconds:g} s, so its query was cancelled. Read it "
            "faster, or raise FRAISEQL_GRAPHQL_STALL_SECONDS."
        )


class ServerFailed(GraphQLFailure):
    """The FraiseQL server answered with errors."""

    code = "SERVER_ERROR"
    status = BAD_GATEWAY


class ServerUnavailable(ServerFailed):
    """The FraiseQL server cannot be reached, or the address is not one of a GraphQL server."""

    code = "SERVER_UNAVAILABLE"
    status = UPSTREAM_UNAVAILABLE


class Cancelled(GraphQLFailure):
    """The client disconnected before the result was complete."""

    code = "CANCELLED"
    status = CANCELLED


class SchemaInvalid(Exception):
    """The compiled schema cannot be used. The message names the path in the file."""
