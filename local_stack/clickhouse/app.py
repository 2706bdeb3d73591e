"""ClickHouse's HTTP interface as a WSGI application over the engine.

After https://clickhouse.com/docs/interfaces/http: what `clickhouse-connect` and `curl` expect of a
server, and no more.
"""

import base64
import json
import secrets
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from werkzeug.wrappers import Request, Response

from local_stack.clickhouse.compression import SUPPORTED, accepted, compressed, decompressed
from local_stack.clickhouse.engine import Engine, EngineError, EngineSession, External, Result
from local_stack.clickhouse.formats import content_type
from local_stack.clickhouse.statement import DEFAULT_FORMAT, Statement, parse

PIECE = 1 << 20
ABOUT_EXTERNAL = ("format", "structure", "types")
STATEMENT_BYTES = 256 * 1024
"""As much of a body as may be statement, ClickHouse's max_query_size."""

RESERVED = frozenset(
    {
        "query", "database", "default_format", "user", "password", "query_id", "session_id",
        "session_timeout", "session_check", "compress", "decompress", "quota_key", "role",
        "stacktrace", "client_protocol_version",
    }
)  # fmt: skip
"""URL parameters that are no settings of the engine."""

HTTP_ONLY = frozenset(
    {
        "enable_http_compression", "http_zlib_compression_level", "wait_end_of_query",
        "buffer_size", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close", "add_http_cors_header",
        "http_write_exception_in_output_format", "http_make_head_request",
    }
)  # fmt: skip
"""Settings of the HTTP interface itself, which is here."""

_STATUS = {
    400: {6, 26, 27, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72, 117, 130, 131, 132, 190, 353, 386},
    401: {194},
    403: {192, 193, 291, 497, 516},
    404: {16, 46, 47, 50, 56, 60, 63, 73, 80, 81, 82, 113, 115, 372},
    408: {159},
    501: {48, 1001},
    503: {202, 203, 209, 210, 252},
}
STATUS_OF_CODE = {code: status for status, codes in _STATUS.items() for code in codes}
"""HTTP statuses of exception codes; every other is 500."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may ask."""

    user: str = "default"
    password: str = ""


class _KeptSession:
    """A session that lives over several requests."""

    def __init__(self, session: EngineSession) -> None:
        self.session = session
        self.lock = threading.Lock()
        self.until = 0.0


class Application:
    """The WSGI application."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine, self._credentials = engine, credentials
        self._kept: dict[str, _KeptSession] = {}
        self._kept_lock = threading.Lock()

    def __call__(self, environ: dict[str, object], start_response: object) -> Iterable[bytes]:
        request = Request(environ)
        # A client that closes the connection must not leave its form's temporary files.
        with closing(request):
            response = self._answer(request)
        return response(environ, start_response)  # pyright: ignore[reportArgumentType]

    def _answer(self, request: Request) -> Response:
        if request.path in ("/ping", "/replicas_status") or (
            request.path == "/" and request.method in ("GET", "HEAD") and not request.args
        ):
            return Response("Ok.\n", content_type="text/html; charset=UTF-8")
        if request.path != "/":
            return Response(f"There is no handle {request.path}\n", 404)
        if request.method not in ("GET", "HEAD", "POST"):
            return Response("", 204, {"Allow": "GET, HEAD, POST, OPTIONS"})
        query_id = request.args.get("query_id") or str(uuid.uuid4())
        try:
            self._authenticate(request)
            response = self._execute(request)
        except EngineError as error:
            response = _failure(error)
        response.headers["X-ClickHouse-Query-Id"] = query_id
        response.headers["X-ClickHouse-Server-Display-Name"] = "fraiseql-local"
        response.headers["X-ClickHouse-Timezone"] = "UTC"
        return response

    def _authenticate(self, request: Request) -> None:
        user, password = _presented(request)
        wanted = self._credentials
        right_user = secrets.compare_digest(user.encode(), wanted.user.encode())
        right_password = secrets.compare_digest(password.encode(), wanted.password.encode())
        if not (right_user and right_password):
            raise EngineError(
                516,
                f"Code: 516. DB::Exception: {user}: Authentication failed: password is incorrect, "
                f"or there is no user with such name. (AUTHENTICATION_FAILED) "
                f"(version {self._engine.version})",
            )

    def _execute(self, request: Request) -> Response:
        kept = self._kept_session(request)
        session = kept.session if kept else self._engine.open()
        if kept:
            kept.lock.acquire()

        def release() -> None:
            if kept:
                kept.lock.release()
            else:
                session.close()

        try:
            response = self._run(request, session)
        except BaseException:
            release()
            raise
        response.call_on_close(release)
        return response

    def _run(self, request: Request, session: EngineSession) -> Response:
        values = dict(request.args.items())
        tables: list[External] = []
        if request.mimetype == "multipart/form-data":
            values |= dict(request.form.items())
            tables = _external_tables(request, values)
        named = {
            n for t in tables for n in (f"{t.name}_{s}" for s in ("format", "structure", "types"))
        }
        settings = {
            name: value
            for name, value in values.items()
            if name not in RESERVED | HTTP_ONLY | named and not name.startswith("param_")
        }
        parameters = {n[6:]: v for n, v in values.items() if n.startswith("param_")}
        session.prepare(
            values.get("database") or request.headers.get("X-ClickHouse-Database"),
            settings,
            parameters,
        )
        for table in tables:
            session.attach(table)
        body = iter(()) if tables or request.mimetype == "multipart/form-data" else _body(request)
        statement, rows = _statement_and_rows(values.get("query", "").encode(), body)
        default = values.get("default_format") or request.headers.get("X-ClickHouse-Format")
        default = default or DEFAULT_FORMAT
        started = time.monotonic()
        if statement.takes_rows:
            result = session.insert(statement, rows)
        else:
            result = session.run(statement, default)
        return _success(request, values, statement.format or default, result, started)

    def _kept_session(self, request: Request) -> _KeptSession | None:
        name = request.args.get("session_id")
        if not name:
            return None
        now = time.monotonic()
        with self._kept_lock:
            for other, kept in list(self._kept.items()):
                if kept.until < now and not kept.lock.locked():
                    self._kept.pop(other).session.close()
            if name not in self._kept:
                if request.args.get("session_check") == "1":
                    text = f"Code: 372. DB::Exception: Session {name} not found (SESSION_NOT_FOUND)"
                    raise EngineError(372, text)
                self._kept[name] = _KeptSession(self._engine.open())
            kept = self._kept[name]
            if kept.lock.locked():
                raise EngineError(
                    373,
                    f"Code: 373. DB::Exception: Session {name} is locked by a concurrent client. "
                    "(SESSION_IS_LOCKED)",
                )
            kept.until = now + float(request.args.get("session_timeout", 60))
            return kept


def _presented(request: Request) -> tuple[str, str]:
    """User and password, from wherever ClickHouse looks for them."""
    if "X-ClickHouse-User" in request.headers:
        headers = request.headers
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, packed = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(packed).decode().partition(":")
        except ValueError:
            return "", ""
        return user, password
    return request.args.get("user", "default"), request.args.get("password", "")


def _body(request: Request) -> Iterator[bytes]:
    """The body, a megabyte at a time, without its Content-Encoding.

    Raises:
        EngineError: it is compressed in a way the front does not know, or ends half-way.
    """
    pieces = _received(request)
    encoding = request.headers.get("Content-Encoding", "").lower()
    if not encoding or encoding == "identity":
        yield from pieces
        return
    if encoding not in SUPPORTED:
        raise EngineError(
            48,
            f"Code: 48. DB::Exception: Unknown compression method {encoding}; this server knows "
            f"{', '.join(SUPPORTED)}. (NOT_IMPLEMENTED)",
        )
    try:
        yield from decompressed(pieces, encoding)
    except ValueError as error:
        raise EngineError(
            354, f"Code: 354. DB::Exception: {error}. (ZLIB_INFLATE_FAILED)"
        ) from error


def _received(request: Request) -> Iterator[bytes]:
    expected = request.content_length
    got = 0
    stream = request.stream
    while piece := stream.read(PIECE):
        got += len(piece)
        yield piece
    if expected is not None and got < expected:
        # What was sent is not all of it: the rows must not be taken for whole.
        raise EngineError(
            1000, f"Code: 1000. DB::Exception: the body ended after {got} of {expected} bytes."
        )


def _statement_and_rows(query: bytes, body: Iterator[bytes]) -> tuple[Statement, Iterator[bytes]]:
    """The statement, from URL or body, and the rows that follow it."""
    if query.strip():
        first = next(body, b"")
        statement = parse(query, rows_follow=bool(first))
        if not statement.takes_rows:
            # As ClickHouse has it, the body goes on where the URL's query ends.
            rest = first + b"".join(body)
            return (parse(query + b"\n" + rest, rows_follow=False) if rest else statement), body
        return statement, _joined(statement.rows, first, body)
    head = b""
    while len(head) < STATEMENT_BYTES and (piece := next(body, b"")):
        head += piece
    statement = parse(head, rows_follow=False)
    if statement.takes_rows:
        return statement, _joined(statement.rows, b"", body)
    rest = b"".join(body)
    return (parse(head + rest, rows_follow=False) if rest else statement), body


def _joined(*parts: bytes | Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        if isinstance(part, bytes):
            if part:
                yield part
        else:
            yield from part


def _external_tables(request: Request, values: dict[str, str]) -> list[External]:
    """The temporary tables of a multipart request, after ClickHouse's "external data"."""
    tables = []
    for name, upload in request.files.items():
        structure = values.get(f"{name}_structure")
        if not structure and (types := values.get(f"{name}_types")):
            structure = ", ".join(f"_{n} {kind}" for n, kind in enumerate(types.split(","), 1))
        if not structure:
            text = f"Code: 36. DB::Exception: external table {name} has neither structure nor types"
            raise EngineError(36, text)
        tables.append(
            External(name, structure, values.get(f"{name}_format", DEFAULT_FORMAT), upload.read())
        )
    return tables


def _success(
    request: Request, values: dict[str, str], name: str, result: Result, started: float
) -> Response:
    summary = {
        "read_rows": "0",
        "read_bytes": "0",
        "written_rows": str(result.written_rows),
        "written_bytes": str(result.written_bytes),
        "result_rows": str(result.written_rows),
        "elapsed_ns": str(int((time.monotonic() - started) * 1e9)),
    }
    headers = {
        "X-ClickHouse-Format": name,
        "X-ClickHouse-Summary": json.dumps(summary),
        "Content-Type": content_type(name),
    }
    pieces = _told(result.pieces)
    if values.get("enable_http_compression") == "1":
        encoding = accepted(request.headers.get("Accept-Encoding", ""))
        if encoding:
            headers["Content-Encoding"] = encoding
            pieces = compressed(pieces, encoding)
    return Response(pieces, 200, headers)


def _told(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A result; an error half-way is written behind what was sent, and the connection broken."""
    try:
        yield from pieces
    except EngineError as error:
        yield f"\n{error}\n".encode()
        raise
    finally:
        close = getattr(pieces, "close", None)
        if close:
            close()


def _failure(error: EngineError) -> Response:
    headers = {
        "X-ClickHouse-Exception-Code": str(error.code),
        "Content-Type": "text/plain; charset=UTF-8",
        # What is left of the body was not read.
        "Connection": "close",
    }
    return Response(f"{error}\n", STATUS_OF_CODE.get(error.code, 500), headers)
