"""A FraiseQL server over HTTP: what it answers to a GraphQL request, bounded in size and time.

A plain connection for each request: its socket can be shut down from another thread, which ends the
wait, and the server's work with it, as soon as the client goes away.
"""

import contextlib
import http.client
import logging
import socket
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from flight_service.cancellation import Cancellation
from flight_service.disclosure import without_addresses
from flight_service.graphql.errors import (
    Cancelled,
    DeadlinePassed,
    LimitExceeded,
    ServerUnavailable,
)
from fraiseql_assets.addresses import without_credentials

JSON = "application/json"
PIECE = 2**20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    status: int
    kind: str
    content: bytes


@dataclass(frozen=True, slots=True)
class FraiseqlServer:
    """The server at an address, `http[s]://host:port/graphql`."""

    url: str
    timeout_seconds: float
    """How long a request may take, its reading included."""
    most_bytes: int

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
            ServerUnavailable: there is no answer.
            DeadlinePassed: the whole answer is not there in time.
            LimitExceeded: the answer is too large.
            Cancelled: the client went away.
        """
        headers = {"accept": accept, "content-type": JSON}
        if authorization:
            headers["authorization"] = authorization
        address = self._address()
        deadline = time.monotonic() + self.timeout_seconds
        connection = self._connection(address)
        try:
            connection.connect()
            if cancellation is not None:
                taken = connection.sock
                cancellation.then(lambda: _shut(taken))
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
                raise Cancelled("The client went away before the result was whole.") from error
            shown = without_credentials(self.url)
            logger.warning("The FraiseQL server at %s does not answer: %s", shown, error)
            why = without_addresses(_why(error))
            raise ServerUnavailable(
                f"The server that FRAISEQL_GRAPHQL_URL names does not answer: {why}."
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
        while piece := response.read1(PIECE):
            content += piece
            if len(content) > self.most_bytes:
                raise LimitExceeded(
                    f"The FraiseQL server's answer has more than {self.most_bytes:,} bytes. "
                    "FRAISEQL_GRAPHQL_FORWARD_BYTES allows no more; narrow the query, or give "
                    "a limit."
                )
            self._wait(connection, deadline)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return bytes(content)

    def _wait(self, connection: http.client.HTTPConnection, deadline: float) -> None:
        """Lets the next wait for the server last until the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        # A server that closes after its answer leaves the socket to the response alone.
        if connection.sock is not None:
            connection.sock.settimeout(left)


def _shut(taken: socket.socket) -> None:
    # What is closed already needs no end.
    with contextlib.suppress(OSError):
        taken.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
