"""A call from its arrival to its end: its metrics, and its line in the log.

The line is the audit record of the call: principal, ticket, rows, bytes, duration and status. It
has no variables, filters or query texts, which may be confidential.
"""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flight_service.authentication import ANYONE, Principal
from flight_service.errors import LONGEST, sentence_of
from flight_service.monitoring import metrics
from flight_service.monitoring.metrics import Metrics
from flight_service.tickets import Ticket
from fraiseql_assets import tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

REQUEST_ID = "x-request-id"
"""The header that carries a call's id, in both directions."""
FORWARDED_FOR = "x-forwarded-for"
"""The header in which a proxy sends its client's address."""
MOST_FORWARDED = 256
"""The maximum length of such addresses in a line."""
UNKNOWN = "unknown"
DRAIN_STEP_SECONDS = 0.1
"""The interval of checks for an interrupt while draining."""

logger = logging.getLogger("flight_service.calls")

_WELL_FORMED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_NAMED_BY = ("asset", "entity_type", "operation_name", "view", "table")
"""The fields of tickets that name the requested data."""

Transport = Literal["flight", "http"]

current: ContextVar["Call | None"] = ContextVar("current call", default=None)
"""The HTTP request that is being answered."""


@dataclass(slots=True, eq=False)
class Call:
    """The attributes of a call so far."""

    transport: Transport
    method: str
    request_id: str
    kind: str = UNKNOWN
    """The kind of ticket, the action, or the route over HTTP."""
    what: str = ""
    """The asset, entity type or operation that it names."""
    principal: Principal = ANYONE
    peer: str = ""
    forwarded_for: str = ""
    """The addresses that proxies have added, or that the client sent itself."""
    compression: str | None = None
    """The compression that a Flight client asks for."""
    rows: int | None = None
    """Rows sent; None where they were not counted."""
    bytes: int = 0
    batches: int = 0
    rows_written: int | None = None
    """Rows that the client sent to be written; None where it sends none."""
    bytes_written: int | None = None
    streams: bool = False
    """Whether it is counted as an open stream."""
    cancelled: bool = False
    failure: BaseException | None = None
    span: "Span | None" = None
    """Its span, if calls are traced."""
    started: float = field(default_factory=time.monotonic)

    def has_ticket(self, ticket: Ticket) -> None:
        """Sets the ticket of the call."""
        self.kind = type(ticket).__name__
        names = (getattr(ticket, name, None) for name in _NAMED_BY)
        self.what = next((name for name in names if isinstance(name, str)), "")

    def recognised(self, principal: Principal) -> None:
        """Sets the principal of the call."""
        self.principal = principal

    def refused(self, error: BaseException) -> None:
        """Sets the error of the authentication, and the user name of the login."""
        self.failure = error
        self.what = str(getattr(error, "user", ""))

    def count_rows(self, rows: int) -> None:
        """Counts sent rows."""
        self.rows = (self.rows or 0) + rows

    def count_written(self, rows: int, size: int) -> None:
        """Counts received rows and their bytes."""
        self.rows_written = (self.rows_written or 0) + rows
        self.bytes_written = (self.bytes_written or 0) + size


class Observer:
    """Counts calls and writes their lines. Thread-safe."""

    def __init__(self, measured: Metrics | None = None, *, logs: bool = True) -> None:
        self.metrics = measured or Metrics()
        self._logs = logs
        self._ended = threading.Condition()
        self._under_way = 0
        self.is_draining = False
        """Whether new calls are refused."""

    def drain(self, seconds: float, interrupted: Callable[[], bool]) -> bool:
        """Refuses new calls and waits for running ones, unless interrupted. Returns whether all
        have ended."""
        deadline = time.monotonic() + seconds
        with self._ended:
            self.is_draining = True
            while self._under_way and time.monotonic() < deadline and not interrupted():
                self._ended.wait(DRAIN_STEP_SECONDS)
            return not self._under_way

    def begin(
        self,
        transport: Transport,
        method: str,
        request_id: str | None,
        traceparent: str | None = None,
    ) -> Call:
        """A call that has arrived. An id that the client sent is kept if it is well-formed, and
        its trace is continued."""
        if request_id is None or not _WELL_FORMED.fullmatch(request_id):
            request_id = secrets.token_hex(8)
        with self._ended:
            self._under_way += 1
        span = tracing.begin(f"{transport} {method}", traceparent)
        return Call(transport, method, request_id, span=span)

    def open_stream(self, call: Call) -> None:
        """Counts the call as an open stream until it ends. Its status is cancelled until another
        one is set."""
        call.streams = call.cancelled = True
        self.metrics.add(metrics.ARROW_STREAMS, 1)

    def end_flight(self, call: Call, status: str) -> None:
        """Counts and logs a Flight call that has ended."""
        seconds = self._end(call)
        self.metrics.add(metrics.ARROW_REQUESTS, 1, call.method, call.kind, status)
        self.metrics.observe(metrics.ARROW_DURATION, seconds, call.method, call.kind)
        if call.streams:
            self.metrics.add(metrics.ARROW_STREAMS, -1)
            self.metrics.add(metrics.ARROW_ROWS, call.rows or 0, call.kind)
            self.metrics.add(metrics.ARROW_BYTES, call.bytes, call.kind)
            self.metrics.add(metrics.ARROW_BATCHES, call.batches, call.kind)
        self._log(call, status, seconds)

    def end_http(self, call: Call, status: int, *, is_probe: bool) -> None:
        """Counts an HTTP request that has ended, and logs it unless it is a probe that passed."""
        seconds = self._end(call)
        self.metrics.add(metrics.HTTP_REQUESTS, 1, call.kind, call.method, str(status))
        self.metrics.observe(metrics.HTTP_DURATION, seconds, call.kind)
        self.metrics.add(metrics.HTTP_BYTES, call.bytes, call.kind)
        if not is_probe or status >= 400:
            self._log(call, str(status), seconds)
        elif call.span:
            _end_span(call.span, call, str(status))

    def _end(self, call: Call) -> float:
        """Records the end of a call. Returns its duration in seconds."""
        with self._ended:
            self._under_way -= 1
            self._ended.notify_all()
        return time.monotonic() - call.started

    def _log(self, call: Call, status: str, seconds: float) -> None:
        if call.span:
            _end_span(call.span, call, status)
        if not self._logs:
            return
        fields: dict[str, Any] = {
            "request_id": call.request_id,
            "transport": call.transport,
            "method": call.method,
            "kind": call.kind,
            "what": call.what or None,
            "user": call.principal.subject,
            "tenant": call.principal.tenant,
            "peer": call.peer or None,
            "status": status,
            "error": call.failure and sentence_of(call.failure)[:LONGEST],
            "rows": call.rows,
            "bytes": call.bytes,
            "ms": round(seconds * 1000, 1),
        }
        if call.forwarded_for:
            # A proxy adds what it knows at the end.
            fields["forwarded_for"] = call.forwarded_for[-MOST_FORWARDED:]
        if call.rows_written is not None:
            fields |= {"rows_written": call.rows_written, "bytes_written": call.bytes_written}
        logger.info("call", extra={"fields": fields})


def _end_span(span: "Span", call: Call, status: str) -> None:
    attributes = {
        "fraiseql.kind": call.kind,
        "fraiseql.what": call.what or None,
        "fraiseql.request_id": call.request_id,
        "fraiseql.status": status,
        "fraiseql.rows": call.rows,
        "fraiseql.bytes": call.bytes,
    }
    details = {"enduser.id": call.principal.subject}
    tracing.end(span, attributes, details, call.failure and sentence_of(call.failure))
