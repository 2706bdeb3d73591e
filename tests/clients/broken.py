"""Services that fail: one that announces more than it sends, and a connection that breaks."""

import itertools
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
from pyarrow import flight

from flight_service.sql.commands import expected, pack
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from tests.clients.harness import SECONDS

ANNOUNCED = 5
SENT = pa.table({"event_id": ["a", "b", "c"]})


class _Short(flight.FlightServerBase):
    def get_flight_info(
        self, _: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        endpoint = flight.FlightEndpoint(b"all", [])
        return flight.FlightInfo(SENT.schema, descriptor, [endpoint], ANNOUNCED, -1)

    def do_get(self, _: flight.ServerCallContext, __: flight.Ticket) -> flight.RecordBatchStream:
        return flight.RecordBatchStream(SENT)


@contextmanager
def short_flight() -> Iterator[str]:
    """The address of a Flight service that announces five rows and sends three."""
    with _Short("grpc://127.0.0.1:0") as server:
        yield f"grpc://127.0.0.1:{server.port}"


COUNTED = pa.table({"count(*)": pa.array([ANNOUNCED])})


class _ShortSql(flight.FlightServerBase):
    def do_action(
        self, _: flight.ServerCallContext, action: flight.Action
    ) -> Iterator[flight.Result]:
        if action.type == "CreatePreparedStatement":
            body = action.body.to_pybytes()
            asked = expected(body, protocol.ActionCreatePreparedStatementRequest)
            handle = b"count" if "count(*)" in asked.query else b"rows"
            prepared = protocol.ActionCreatePreparedStatementResult(
                prepared_statement_handle=handle,
                dataset_schema=_rows(handle).schema.serialize().to_pybytes(),
                parameter_schema=pa.schema([]).serialize().to_pybytes(),
            )
            yield flight.Result(pack(prepared))

    def get_flight_info(
        self, _: flight.ServerCallContext, descriptor: flight.FlightDescriptor
    ) -> flight.FlightInfo:
        asked = expected(descriptor.command, protocol.CommandPreparedStatementQuery)
        handle = asked.prepared_statement_handle
        endpoint = flight.FlightEndpoint(handle, [])
        return flight.FlightInfo(_rows(handle).schema, descriptor, [endpoint], -1, -1)

    def do_get(
        self, _: flight.ServerCallContext, ticket: flight.Ticket
    ) -> flight.RecordBatchStream:
        return flight.RecordBatchStream(_rows(ticket.ticket))


def _rows(handle: bytes) -> pa.Table:
    return COUNTED if handle == b"count" else SENT


@contextmanager
def short_sql() -> Iterator[str]:
    """The address of a Flight SQL service that counts five rows of a statement and sends three."""
    with _ShortSql("grpc://127.0.0.1:0") as server:
        yield f"grpc://127.0.0.1:{server.port}"


class _ShortPages(BaseHTTPRequestHandler):
    def announced(self) -> int:
        return ANNOUNCED

    def rows(self) -> pa.Table:
        return SENT

    def do_GET(self) -> None:
        if "format=info" in self.path:
            body = json.dumps({"rows": self.announced(), "parts": [{}]}).encode()
        else:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, SENT.schema) as writer:
                writer.write_table(self.rows())
            body = sink.getvalue().to_pybytes()
        self.send_response(200)
        self.send_header("content-length", f"{len(body)}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


class _GrowingPages(_ShortPages):
    requests = itertools.count(1)

    def announced(self) -> int:
        return next(self.requests)

    def rows(self) -> pa.Table:
        return pa.concat_tables([SENT.slice(0, 1)] * next(self.requests))


@contextmanager
def growing_http() -> Iterator[str]:
    """The address of an HTTP side whose asset has another row at each request."""
    with _http(_GrowingPages) as url:
        yield url


@contextmanager
def short_http() -> Iterator[str]:
    """The address of an HTTP side that announces five rows and sends three."""
    with _http(_ShortPages) as url:
        yield url


@contextmanager
def _http(pages: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Cut:
    """Forwards connections to a service, and breaks those that are open when it is told to."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition("/")[2].rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.url = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Cut":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.now()

    def now(self) -> None:
        """Breaks the connections that are open."""
        with self._lock:
            while self._open:
                with suppress(OSError):
                    self._open.pop().shutdown(socket.SHUT_RDWR)

    def after(self, holds: Callable[[], bool]) -> None:
        """Breaks them as soon as something holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.now()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._open.append(near)
            threading.Thread(target=self._forward, args=(near, far), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        # A connection that is reset ends it too.
        with near, far, suppress(OSError):
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (far if ready is near else near).sendall(data)
