"""The client: what can be asked for."""

import os
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal

from fraiseql_client.events import Position
from fraiseql_client.following import Tail
from fraiseql_client.listing import AssetInfo
from fraiseql_client.results import EventResult, Result
from fraiseql_client.transport import Connection, Ticket, Token
from fraiseql_client.writing import EVENTS, Rows, Written, write

Moment = str | date | datetime
"""A date, a time with its zone, or either as text."""


class Client:
    """Asks the service. Safe to use from several threads; close it, or use it in `with`.

    Every method raises:
        FraiseqlError: see `fraiseql_client.errors`. So do the methods of a result.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def url(self) -> str:
        """The service's address."""
        return self._connection.url

    def query(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        field: str | None = None,
    ) -> Result:
        """The rows of a GraphQL query.

        Args:
            query: The GraphQL document.
            variables: The values of its variables.
            operation: Which of its operations, if it has several.
            field: The field whose rows are wanted, if it asks for several.
        """
        given = {"variables": variables, "operationName": operation, "field": field}
        return self.read({"type": "GraphQLQuery", "query": query, **_set(given)})

    def read_asset(
        self,
        name: str,
        *,
        partition: Moment | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        columns: list[str] | None = None,
    ) -> Result:
        """The rows of an asset, such as `analytics/events`.

        Args:
            name: Its name; `assets()` lists them.
            partition: The one day that is wanted.
            start: The first day.
            end: The last day, included.
            columns: The columns that are wanted, in this order.
        """
        days = {"partition": partition, "start": start, "end": end}
        given = {**{key: _text(day) for key, day in days.items()}, "columns": columns}
        return self.read({"type": "Asset", "asset": name, **_set(given)})

    def events(
        self,
        entity_type: str | None = None,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> EventResult:
        """Events by their type and their own time.

        Args:
            entity_type: The type, such as `Order`.
            start: From when on.
            end: Until when. A date includes that whole day; a time is excluded.
            limit: At most so many.
            newest: The last `limit` events instead of the first.
        """
        given = {
            "entity_type": entity_type,
            "start_date": _text(start),
            "end_date": _text(end),
            "limit": limit,
            "newest": newest or None,
        }
        return EventResult(self._connection, {"type": "ObserverEvents", **_set(given)})

    def search(
        self,
        query: str | None = None,
        *,
        kinds: Literal["both", "events", "requests"] | None = None,
        since: str | None = None,
        until: str | None = None,
        entity: str | None = None,
        id: str | None = None,
        failed: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        count: Literal["error", "type", "hour", "tenant", "operation"] | None = None,
        **other: Any,
    ) -> Result:
        """Events and GraphQL requests that match, newest first; with `count` their numbers.

        Args:
            query: Words, and conditions such as `data.status:paid`.
            kinds: Only `events`, or only `requests`.
            since: `30m`, `1h`, `7d`, a date or a time.
            until: The same.
            entity: The id of an entity whose history is wanted.
            id: An id that occurs anywhere.
            failed: Only requests that failed.
            limit: At most so many hits, 100 by default.
            cursor: Where the page before ended: the column `cursor` of its last row.
            count: What to count by.
            other: Further fields of the ticket `Search`.
        """
        given = {
            "query": query, "kinds": kinds, "since": since, "until": until, "entity": entity,
            "id": id, "failed": failed, "limit": limit, "cursor": cursor, "count": count, **other,
        }  # fmt: skip
        return self.read({"type": "Search", **_set(given)})

    def follow(
        self, entity_type: str | None = None, *, after: Position | str | None = None
    ) -> Tail:
        """New events from now on, or from a position on, as they are published.

        Args:
            entity_type: Only events of this type.
            after: The position of the last event that was handled; `0:0` for all of a log that
                holds its first event.
        """
        position = Position.parse(after) if isinstance(after, str) else after
        return Tail(self._connection, entity_type, position)

    def write(self, rows: Rows, table: str = EVENTS) -> Written:
        """Publishes events to the log, or inserts rows into a table of PostgreSQL.

        Events that could not be sent to their end are sent again: the log stores none twice. Rows
        of a table are sent once. Either all of them are inserted or none; if the connection breaks
        at the end, look which.

        Args:
            rows: A table, a frame, a mapping of columns, or anything else that is Arrow. Columns
                are taken by name.
            table: `events`, or a table that `FRAISEQL_WRITABLE` of the service lists.
        """
        return write(self._connection, rows, table)

    def read(self, ticket: Ticket) -> Result:
        """The rows of any ticket: its fields, or the name of an asset, a query or a view."""
        return Result(self._connection, ticket)

    def assets(self) -> list[AssetInfo]:
        """What can be read by its name."""
        return [AssetInfo.of(info) for info in self._connection.list()]

    def health(self) -> dict[str, Any]:
        """Whether the service answers, and its version."""
        return self._connection.act("HealthCheck")

    def close(self) -> None:
        """Closes the connection. Streams that are still read end with an error."""
        self._connection.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url}>"


def connect(
    url: str | None = None,
    *,
    token: Token | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
) -> Client:
    """A client. It connects with its first request.

    Args:
        url: `grpc://host:port`, or `grpc+tls://host:port`; by default `FRAISEQL_FLIGHT_URL`, or
            this machine.
        token: A token, or a function that returns a fresh one for each request; by default
            `FRAISEQL_FLIGHT_TOKEN`.
        tls_ca: The file of the certificate authority, if it is not one that this machine trusts;
            by default `FRAISEQL_FLIGHT_CA_FILE`.

    Raises:
        InvalidRequest: the address is invalid.
    """
    return Client(Connection(url, token, tls_ca))


def _text(moment: Moment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, date) else moment


def _set(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in given.items() if value is not None}
