"""What can go wrong with a query, as one tree; each message says what, where, and what to do.

GraphQLFailure
├── QueryRefused           the document or its variables are wrong: the client's to mend
│   ├── QueryUnparsable    it is no GraphQL at all
│   ├── NotAQuery          a mutation or subscription, which is not executed here
│   ├── PersistedQueryNotFound  a hash stands for no query yet: the client sends the query
│   ├── SnapshotGone       an endpoint is read after its snapshot was given up
│   └── LimitExceeded      right, but larger than a setting allows; names the setting
├── SchemaUnavailable      there is no compiled schema to answer by
├── NotAuthorised          the principal's claims do not suffice
├── BadDocument            a stored document is not what the schema says; names path and row
├── DatabaseFailed         PostgreSQL refused or broke off
│   ├── DatabaseUnavailable
│   │   └── Busy           too many requests are under way
│   └── DeadlinePassed     the statement timeout, or the principal's own deadline
├── StreamStalled          the client did not read its result
├── ServerFailed           the FraiseQL server behind answers with errors
│   └── ServerUnavailable  or not at all
└── Cancelled              the client went away
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from graphql import GraphQLError

from flight_service.errors import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAVAILABLE,
    ServiceError,
    Status,
)

LONGEST = 1000
"""How many characters of a message are told; what a client sent may stand in it."""


class GraphQLFailure(ServiceError):
    """A query that gives no result, in the form in which GraphQL clients are told."""

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"

    def __init__(
        self,
        message: str,
        *,
        path: Sequence[str | int] | None = None,
        locations: Sequence[tuple[int, int]] = (),
    ) -> None:
        message = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
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
        """The sentence of a transport that has one sentence alone."""
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
        """All that graphql-core found, the first in front."""
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
    """A mutation or subscription, which this service describes and does not execute."""

    code = "NOT_A_QUERY"

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"A {kind} is FraiseQL's to execute. Send it to the FraiseQL server, or set "
            "FRAISEQL_GRAPHQL_URL: mutations over HTTP are then forwarded there."
        )
        self.kind = kind


class LimitExceeded(QueryRefused):
    """The query is valid, but asks for more than a setting allows; the message names it."""

    code = "LIMIT_EXCEEDED"


class PersistedQueryNotFound(QueryRefused):
    """No query of the hash is remembered. Clients know the message, and send the query."""

    code = "PERSISTED_QUERY_NOT_FOUND"
    status = Status(INVALID_ARGUMENT.flight, 200)

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class SnapshotGone(QueryRefused):
    """What an endpoint reads is held no more."""

    code = "SNAPSHOT_GONE"

    def __init__(self) -> None:
        super().__init__(
            "The snapshot of this endpoint is held no more: it has been read to its end, or "
            "FRAISEQL_GRAPHQL_SNAPSHOT_SECONDS have passed. Call GetFlightInfo again for new ones."
        )


class SchemaUnavailable(GraphQLFailure):
    """No compiled schema has been read yet; the message says why."""

    code = "SCHEMA_UNAVAILABLE"
    status = UNAVAILABLE


class NotAuthorised(GraphQLFailure):
    """A role or a claim that the query needs is not the principal's."""

    code = "FORBIDDEN"
    status = PERMISSION_DENIED


class BadDocument(GraphQLFailure):
    """A stored value is not of the type that the schema gives it."""

    code = "BAD_DOCUMENT"


class DatabaseFailed(GraphQLFailure):
    """PostgreSQL refused the statement or broke off."""

    code = "DATABASE_ERROR"


class DatabaseUnavailable(DatabaseFailed):
    """PostgreSQL cannot be reached, or refuses the credentials."""

    code = "DATABASE_UNAVAILABLE"
    status = UNAVAILABLE


class Busy(DatabaseUnavailable):
    """Too many requests are under way; asking again later helps."""

    code = "BUSY"
    retry_seconds: ClassVar[int] = 5
    """What clients are told to wait."""


class DeadlinePassed(DatabaseFailed):
    """The statement ran longer than allowed."""

    code = "DEADLINE_EXCEEDED"
    status = DEADLINE_EXCEEDED


class StreamStalled(GraphQLFailure):
    """The client did not read its result for so long that the query was cancelled."""

    code = "STREAM_STALLED"
    status = DEADLINE_EXCEEDED

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The result was not read for {seconds:g} s, so its query was cancelled. Read it "
            "faster, or raise FRAISEQL_GRAPHQL_STALL_SECONDS."
        )


class ServerFailed(GraphQLFailure):
    """The FraiseQL server that a request was forwarded to answered with errors."""

    code = "SERVER_ERROR"
    status = Status(INTERNAL.flight, 502)


class ServerUnavailable(ServerFailed):
    """The FraiseQL server cannot be reached, or is none."""

    code = "SERVER_UNAVAILABLE"
    status = Status(UNAVAILABLE.flight, 502)


class Cancelled(GraphQLFailure):
    """The client went away before the result was whole."""

    code = "CANCELLED"
    status = CANCELLED


class SchemaInvalid(Exception):
    """The compiled schema cannot be used; the message names the place in the file."""
