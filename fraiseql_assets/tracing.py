"""Traces of calls and of the requests that they send to servers, for an OpenTelemetry collector.

Tracing is off until `start` is called. Then `span` costs one comparison, and OpenTelemetry is not
even imported. Where a collector is and what is sampled, OpenTelemetry's own variables say
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER` and others).

The spans of a call are children of the call's span, also of work in other threads that `in_thread`
starts.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from fraiseql_assets.iterators import close_iterator

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
TRACEPARENT = "traceparent"
ERROR_CHARACTERS = 500

Item = TypeVar("Item")

_tracer: "Tracer | None" = None
_shows_details = False
_active: ContextVar["Span | None"] = ContextVar("active span", default=None)


class TracingMissing(Exception):
    """OpenTelemetry is not installed; the message says how to install it."""


def is_wanted() -> bool:
    """Whether the environment names a collector."""
    return any(os.environ.get(name) for name in ENDPOINTS)


def start(service: str, *, shows_details: bool = False) -> Callable[[], None]:
    """Traces from now on, to the collector that the environment names. Returns what sends the
    spans that are left, and ends it. With `shows_details`, spans have subjects and statements.

    Raises:
        TracingMissing: the packages are not installed.
    """
    global _tracer, _shows_details
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingMissing(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed. Install "
            "fraiseql-assets[tracing], or unset the variable."
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # Not as the global provider: libraries would trace requests that belong to no call.
    _tracer, _shows_details = provider.get_tracer("fraiseql_assets"), shows_details

    def stop() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return stop


def begin(name: str, traceparent: str | None) -> "Span | None":
    """The span of a call that has arrived, in the trace of its client; None if tracing is off."""
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {TRACEPARENT: traceparent} if traceparent else {}
    parent = TraceContextTextMapPropagator().extract(carrier)
    return _tracer.start_span(name, parent, SpanKind.SERVER)


def end(
    span: "Span", attributes: dict[str, Any], details: dict[str, Any], error: str | None
) -> None:
    """Ends the span of a call. Attributes that are None are left out."""
    from opentelemetry.trace import Status, StatusCode

    shown = {**attributes, **(details if _shows_details else {})}
    span.set_attributes({name: value for name, value in shown.items() if value is not None})
    if error:
        span.set_status(Status(StatusCode.ERROR, error[:ERROR_CHARACTERS]))
    span.end()


def traceparent_of(span: "Span") -> str:
    """The W3C header with which a server continues the span."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id() -> str | None:
    """The id of the trace that this thread works for, 32 hexadecimal digits; None without one."""
    found = _active.get()
    return None if found is None else f"{found.get_span_context().trace_id:032x}"


def headers() -> dict[str, str]:
    """The headers with which another server continues the trace that this thread works for."""
    found = _active.get()
    return {} if found is None else {TRACEPARENT: traceparent_of(found)}


def in_thread(work: Callable[..., None], *arguments: Any, name: str | None = None) -> None:
    """Does the work in a thread of its own, which works for the same call as this one."""
    context = copy_context()
    threading.Thread(target=context.run, args=(work, *arguments), name=name, daemon=True).start()


def within(span: "Span | None") -> AbstractContextManager[None]:
    """In the block, this thread works for the span."""
    return nullcontext() if span is None else _within(span)


@contextmanager
def _within(span: "Span") -> Iterator[None]:
    token = _active.set(span)
    try:
        yield
    finally:
        _active.reset(token)


def carried(items: Iterator[Item], span: "Span | None") -> Iterator[Item]:
    """The items, each made in the span. Closing the iterator closes `items`."""
    return items if span is None else _carried(items, span)


def _carried(items: Iterator[Item], span: "Span") -> Iterator[Item]:
    end = object()
    try:
        while True:
            with _within(span):
                item: Any = next(items, end)
            if item is end:
                return
            yield item
    finally:
        with _within(span):
            close_iterator(items)


def span(name: str, *, system: str | None = None, statement: str | None = None) -> Any:
    """A context manager for a part of the call that this thread works for. `system` is the database
    that it asks, by OpenTelemetry's name, and `statement` what it asks."""
    parent = _active.get()
    if _tracer is None or parent is None:
        return nullcontext()
    return _span(_tracer, parent, name, system, statement)


@contextmanager
def _span(
    tracer: "Tracer", parent: "Span", name: str, system: str | None, statement: str | None
) -> Iterator[None]:
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

    attributes: dict[str, str] = {}
    if system:
        attributes["db.system.name"] = system
    if statement and _shows_details:
        attributes["db.query.text"] = statement
    kind = SpanKind.CLIENT if system else SpanKind.INTERNAL
    made = tracer.start_span(name, set_span_in_context(parent), kind, attributes)
    try:
        yield
    except Exception as error:
        # The sentence is the call's, and a database's own message may hold values.
        made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        made.end()
