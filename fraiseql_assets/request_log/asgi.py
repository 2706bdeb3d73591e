"""A middleware that records the GraphQL requests of any ASGI application.

    app = RecordRequests(app, request_log(settings))

It forwards every byte at once and keeps a limited part, which the publishing thread parses.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from fraiseql_assets.request_log.publisher import RequestRecorder
from fraiseql_assets.requests.record import RequestError, RequestRecord, Status

KEPT_BYTES = 256 * 1024
"""Bytes that are kept of a request's body, and of the start and the end of a response."""
MOST_REQUEST_BYTES = 2**20

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request."""

    user_id: str | None = None
    tenant_id: str | None = None


NOBODY = Identity()

Identify = Callable[[Scope], Identity]
"""Returns who sent the request of a scope. Called in the publishing thread, after the response. If
it raises an error, the request has no identity."""


class RecordRequests:
    """Records the requests to `path` of an ASGI application."""

    def __init__(
        self,
        app: Application,
        recorder: RequestRecorder,
        *,
        path: str = "/graphql",
        identify: Identify | None = None,
    ) -> None:
        self._app, self._recorder = app, recorder
        self._path, self._identify = path, identify or (lambda _: NOBODY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("path") != self._path:
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope)
        started = time.monotonic()
        try:
            await self._app(scope, seen.receiving(receive), seen.sending(send))
        except BaseException as error:
            seen.failed = f"{type(error).__name__}: {error}"
            raise
        finally:
            seen.duration_ms = (time.monotonic() - started) * 1000
            self._recorder.record(lambda: seen.record(self._identify))


@dataclass(slots=True)
class _Seen:
    """The recorded bytes of one request and its response."""

    scope: Scope
    arrived: datetime = field(default_factory=lambda: datetime.now(UTC))
    duration_ms: float = 0.0
    failed: str | None = None
    body: bytearray = field(default_factory=bytearray)
    status: int | None = None
    json: bool = False
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    sent: int = 0
    whole: bool = False

    def receiving(self, receive: Receive) -> Receive:
        async def receive_and_keep() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                room = MOST_REQUEST_BYTES - len(self.body)
                self.body += message.get("body", b"")[:room]
            return message

        return receive_and_keep

    def sending(self, send: Send) -> Send:
        async def keep_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.json = b"json" in _header(message.get("headers", ()), b"content-type")
            elif message["type"] == "http.response.body":
                self._keep(message.get("body", b""))
                self.whole = not message.get("more_body", False)
            await send(message)

        return keep_and_send

    def _keep(self, body: bytes) -> None:
        self.sent += len(body)
        if not self.json:
            return
        room = KEPT_BYTES - len(self.head)
        self.head += body[:room]
        if len(body) > room:
            self.tail += body[max(room, 0) :]
            del self.tail[:-KEPT_BYTES]

    def record(self, identify: Identify) -> RequestRecord | None:
        """The request; None if it has no GraphQL text."""
        asked = self._asked()
        query = asked.get("query")
        if not isinstance(query, str):
            return None
        variables, name = asked.get("variables"), asked.get("operationName")
        errors, rows = self._answered()
        try:
            identity = identify(self.scope)
        except Exception:
            identity = NOBODY
        return RequestRecord(
            query=query,
            transport="http",
            status=self._outcome(errors),
            duration_ms=self.duration_ms,
            variables=variables if isinstance(variables, dict) else None,
            operation_name=name if isinstance(name, str) else None,
            user_id=identity.user_id,
            tenant_id=identity.tenant_id,
            errors=errors,
            rows=rows,
            bytes=self.sent,
            trace_id=trace_of(_header(self.scope.get("headers", ()), b"traceparent")),
            timestamp=self.arrived,
        )

    def _asked(self) -> Mapping[str, Any]:
        if self.scope.get("method") in ("GET", "HEAD"):
            given = parse_qs(self.scope.get("query_string", b"").decode(errors="replace"))
            found: dict[str, Any] = {name: values[0] for name, values in given.items()}
            found["variables"] = _decoded(found.get("variables", "").encode())
            return found
        body = _decoded(bytes(self.body))
        return body if isinstance(body, dict) else {}

    def _answered(self) -> tuple[list[RequestError], int | None]:
        """The errors of the response, and the number of rows in its lists if all of it was kept."""
        rows = None
        if self.sent == len(self.head):
            answer = _decoded(bytes(self.head))
            found = answer.get("errors") if isinstance(answer, dict) else None
            data = answer.get("data") if isinstance(answer, dict) else None
            if isinstance(data, dict):
                rows = sum(_rows(value) for value in data.values())
        else:
            found = _errors_at_end(bytes(self.tail))
        errors = [_error(one) for one in found if isinstance(one, dict)] if found else []
        if self.failed and not errors:
            errors = [RequestError(self.failed, "INTERNAL_SERVER_ERROR")]
        return errors, rows

    def _outcome(self, errors: Iterable[RequestError]) -> Status:
        if any(errors) or self.failed or (self.status or 500) >= 400:
            return "error"
        return "ok" if self.whole else "cancelled"


def trace_of(traceparent: bytes) -> str | None:
    """The trace id of a W3C `traceparent` header."""
    parts = traceparent.decode(errors="replace").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None


def _errors_at_end(tail: bytes) -> list[Any] | None:
    """The `errors` that follow a long `data`."""
    start = tail.rfind(b'"errors":')
    found = _decoded(b"{" + tail[start:]) if start >= 0 else None
    return found.get("errors") if isinstance(found, dict) else None


def _error(found: Mapping[str, Any]) -> RequestError:
    extensions = found.get("extensions")
    code = found.get("code")
    if code is None and isinstance(extensions, dict):
        code = extensions.get("code")
    return RequestError(str(found.get("message", "")), None if code is None else str(code))


def _rows(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value is not None)


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in headers if key.lower() == name), b"")
