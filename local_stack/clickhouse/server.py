"""The HTTP server: one thread per connection."""

import json
import logging
import secrets
import socket
import threading
import time
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit

from local_stack.clickhouse.body import Body, is_closed
from local_stack.clickhouse.compression import Encoder, encoder
from local_stack.clickhouse.engine import VERSION
from local_stack.clickhouse.errors import QueryError, refusal
from local_stack.clickhouse.formats import content_type
from local_stack.clickhouse.front import Answer, Front
from local_stack.clickhouse.request import presented, query_id_of, read_request
from local_stack.clickhouse.running_query import PeerGone
from local_stack.request_guard import LOOPBACK, refused_host, refused_origin

IDLE_SECONDS = 600
SKIPPED_BYTES = 256 << 20
"""How much of a refused body is read and dropped, so that the client reads the response."""

log = logging.getLogger(__name__)


class HttpServer(ThreadingHTTPServer):
    """Serves a front over HTTP."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], front: Front) -> None:
        """Listens on the address.

        Raises:
            OSError: the address is taken, or is not an address of this machine.
        """
        self.front = front
        self.hosts = {*LOOPBACK, address[0]}
        self._connections: set[socket.socket] = set()
        self._ended = threading.Condition()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request_thread(self, request: socket.socket, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        with self._ended:
            self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._ended:
                self._connections.discard(request)
                self._ended.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        """Logs an error of a connection. A client that disconnects causes none."""
        del request
        log.exception("the connection of %s broke off", client_address)

    def hang_up(self, seconds: float) -> bool:
        """Ends reading from every connection. Returns whether all were closed in time."""
        with self._ended:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    continue
            return self._ended.wait_for(lambda: not self._connections, seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    # The handler is the `Peer` of the queries that it runs.
    def fileno(self) -> int:
        return self.connection.fileno()

    def is_gone(self) -> bool:
        return is_closed(self.connection)

    def do_GET(self) -> None:
        self._begin(Body(self.rfile, 0))

    def do_HEAD(self) -> None:
        self._begin(Body(self.rfile, 0))

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            self._begin(Body(self.rfile, None))
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._whole(411, {}, b"A body needs a Content-Length or chunks\n")
            self.close_connection = True
            return
        self._begin(Body(self.rfile, int(length)))

    def _begin(self, body: Body) -> None:
        hosts = cast(HttpServer, self.server).hosts
        host = ", ".join(self.headers.get_all("Host", []))
        if refused := refused_host(host, hosts) or refused_origin(self.headers["Origin"]):
            self._whole(403, {"Content-Type": "text/plain; charset=UTF-8"}, f"{refused}\n".encode())
            self._skip(body)
            return
        address = urlsplit(self.path)
        has_query = self.command != "HEAD" and (self.command == "POST" or address.query)
        if address.path in ("/ping", "/replicas_status") or (address.path == "/" and not has_query):
            self._whole(200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        elif address.path != "/":
            text = f"There is no handle {address.path}\n\nUse / or /ping for health checks.\n"
            self._whole(404, {"Content-Type": "text/plain; charset=UTF-8"}, text.encode())
        else:
            self._execute(address.query, body)
        if not body.is_read:
            self._skip(body)

    def _execute(self, query_string: str, body: Body) -> None:
        started = time.monotonic()
        headers = {
            "X-ClickHouse-Query-Id": query_id_of(query_string),
            "X-ClickHouse-Server-Display-Name": "fraiseql-local",
            "X-ClickHouse-Timezone": "UTC",
        }
        try:
            self.server_front.check(presented(query_string, self.headers))
            request = read_request(self.command, query_string, self.headers, body)
            with self.server_front.answered(request, self) as answer:
                self._success(answer, request.encoding, headers, started)
        except (PeerGone, ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:
            self._failure(_as_query_error(error), headers, body)

    @property
    def server_front(self) -> Front:
        return cast(HttpServer, self.server).front

    def _success(
        self, answer: Answer, encoding: str | None, headers: dict[str, str], started: float
    ) -> None:
        summary = {name: str(value) for name, value in asdict(answer.statistics).items()}
        summary["elapsed_ns"] = str(int((time.monotonic() - started) * 1e9))
        headers["X-ClickHouse-Summary"] = json.dumps(summary, separators=(",", ":"))
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
            headers["Content-Type"] = content_type(answer.format)
        if answer.length is not None and (not encoding or not answer.length):
            self._whole(200, headers, b"".join(answer.pieces))
            return
        tag = secrets.token_hex(8)
        headers["X-ClickHouse-Exception-Tag"] = tag
        if encoding:
            headers["Content-Encoding"] = encoding
        self._stream(answer, encoder(encoding), headers, tag)

    def _stream(self, answer: Answer, packer: Encoder, headers: dict[str, str], tag: str) -> None:
        """Sends a result while it arrives. A result that fails ends with the error, as ClickHouse
        writes it, and without a final chunk, so that no client takes it for complete."""
        chunked = self.request_version != "HTTP/1.0"
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Connection"] = "close"
            self.close_connection = True
        self._head(200, headers)

        def send(data: bytes) -> None:
            if data:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

        try:
            for piece in answer.pieces:
                send(packer.compress(piece))
        except (PeerGone, ConnectionError, TimeoutError):
            raise
        except Exception as error:
            self.close_connection = True
            message = f"{_versioned(_as_query_error(error))}\n"
            send(
                packer.compress(
                    f"\r\n__exception__\r\n{tag}\r\n{message}{len(message.encode())} {tag}\r\n"
                    "__exception__\r\n".encode()
                )
                + packer.flush()
            )
            return
        send(packer.flush())
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _failure(self, error: QueryError, headers: dict[str, str], body: Body) -> None:
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = "text/plain; charset=UTF-8"
        if not body.is_read:
            headers["Connection"] = "close"
            self.close_connection = True
        try:
            self._whole(error.status, headers, f"{_versioned(error)}\n".encode())
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _whole(self, status: int, headers: dict[str, str], content: bytes) -> None:
        if status != 204:
            headers["Content-Length"] = str(len(content))
        self._head(status, headers)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("\r", " ").replace("\n", " "))
        self.end_headers()

    def _skip(self, body: Body) -> None:
        """Reads the rest of the body, since a connection closed at once loses the response."""
        if self.close_connection:
            try:
                self.connection.shutdown(socket.SHUT_WR)
            except OSError:
                return
        if not body.skip(SKIPPED_BYTES):
            self.close_connection = True

    def version_string(self) -> str:
        return f"ClickHouse/{VERSION}"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def _as_query_error(error: Exception) -> QueryError:
    """The error as ClickHouse reports it. Logs an error that the query did not cause."""
    if isinstance(error, QueryError):
        return error
    log.error("A request failed", exc_info=error)
    return refusal(1001, "STD_EXCEPTION", type(error).__name__)


def _versioned(error: QueryError) -> str:
    text = str(error)
    return text if "(version " in text else f"{text} (version {VERSION})"
