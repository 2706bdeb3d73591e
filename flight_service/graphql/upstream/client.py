"""Sends GraphQL requests to a FraiseQL server over HTTP. Responses are limited in size and time.

Each request has its own connection. Its socket can be shut down from another thread, which ends the
wait and the server's work as soon as the client disconnects.
"""

import contextlib
import http.client
import logging
import socket
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from flight_service.address_redaction import without_addresses
from flight_service.graphql.errors import (
    Cancelled,
    DeadlinePassed,
    LimitExceeded,
    ServerUnavailable,
)
from fraiseql_assets import tracing
from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.cancellation import Cancellation

JSON = "application/json"
CHUNK_BYTES = 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of the server."""

    status: int
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class FraiseqlServer:
    """The server at an address, `http[s]://host:port/graphql`."""

    url: str
    timeout_seconds: float
    """The time limit of a request and its response."""
    max_bytes: int

    def post(
        self,
        body: bytes,
        *,
        authorization: str | None,
        accept: str = JSON,
        cancellation: Cancellation | None = None,
    ) -> Reply:
        """Sends a request.

        Raises:
            ServerUnavailable: there is no response.
            DeadlinePassed: the response is not complete in time.
            LimitExceeded: the response is too large.
            Cancelled: the client has disconnected.
        """
        headers = {"accept": accept, "content-type": JSON, **tracing.headers()}
        if authorization:
            headers["authorization"] = authorization
        address = self._address()
        deadline = time.monotonic() + self.timeout_seconds
        connection = self._connection(address)
        try:
            connection.connect()
            if cancellation is not None:
                own = connection.sock
                cancellation.then(lambda: _shut_down(own))
            target = urlunsplit(("", "", address.path or "/", address.query, ""))
            connection.request("POST", target, body, headers)
            self._wait(connection, deadline)
            response = connection.getresponse()
            kind = response.headers.get_content_type()
            return Reply(response.status, kind, self._content(connection, response, deadline))
        except TimeoutError as error:
            raise DeadlinePassed(
                "The FraiseQL server did not answer within the "
                f"{self.timeout_seconds:g} s that FRAISEQL_GRAPHQL_TIMEOUT_SECONDS allows."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            if cancellation is not None and cancellation.over:
                raise Cancelled(
                    "The client disconnected before the result was complete."
                ) from error
            shown = without_credentials(self.url)
            logger.warning("The FraiseQL server at %s does not answer: %s", shown, error)
            reason = without_addresses(_reason(error))
            raise ServerUnavailable(
                f"The server that FRAISEQL_GRAPHQL_URL names does not answer: {reason}."
            ) from error
        finally:
            connection.close()

    def _address(self) -> SplitResult:
        with contextlib.suppress(ValueError):
            address = urlsplit(self.url)
            if address.scheme in ("http", "https") and address.hostname and address.port != 0:
                return address
        logger.warning("FRAISEQL_GRAPHQL_URL is %s.", without_credentials(self.url))
        raise ServerUnavailable("FRAISEQL_GRAPHQL_URL must be http[s]://host:port/graphql.")

    def _connection(self, address: SplitResult) -> http.client.HTTPConnection:
        kind = (
            http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        )
        return kind(address.hostname or "", address.port, timeout=self.timeout_seconds)

    def _content(
        self,
        connection: http.client.HTTPConnection,
        response: http.client.HTTPResponse,
        deadline: float,
    ) -> bytes:
        content = bytearray()
        while chunk := response.read1(CHUNK_BYTES):
            content += chunk
            if len(content) > self.max_bytes:
                raise LimitExceeded(
                    f"The FraiseQL server's answer has more than {self.max_bytes:,} bytes. "
                    "FRAISEQL_GRAPHQL_FORWARD_BYTES allows no more; narrow the query, or give "
                    "a limit."
                )
            self._wait(connection, deadline)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(content)

    def _wait(self, connection: http.client.HTTPConnection, deadline: float) -> None:
        """Sets the socket's timeout to the time that is left."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # If the server closes the connection after its response, only the response has the socket.
        if connection.sock is not None:
            connection.sock.settimeout(left)


def _shut_down(own: socket.socket) -> None:
    # It may be closed already.
    with contextlib.suppress(OSError):
        own.shutdown(socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
