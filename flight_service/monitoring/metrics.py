"""Every metric of the service, defined once, and the registry of their values.

`docs/monitoring.md` lists the same metrics; a test compares the two. Where FraiseQL documents a
metric, its name is used.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""The upper bounds of the durations' buckets; those up to 5 s are FraiseQL's."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric with its scraped name: a counter's name ends in `_total`."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


ARROW_REQUESTS = Definition(
    "fraiseql_arrow_requests_total",
    "counter",
    "Flight calls that have ended.",
    ("method", "kind", "status"),
)
ARROW_DURATION = Definition(
    "fraiseql_arrow_query_duration",
    "histogram",
    "Seconds from a Flight call's arrival to its end.",
    ("method", "kind"),
)
ARROW_ROWS = Definition(
    "fraiseql_arrow_rows_sent_total", "counter", "Rows sent by DoGet.", ("kind",)
)
ARROW_BYTES = Definition(
    "fraiseql_arrow_bytes_sent_total",
    "counter",
    "Bytes of the record batches sent by DoGet, before compression.",
    ("kind",),
)
ARROW_BATCHES = Definition(
    "fraiseql_arrow_batches_sent_total", "counter", "Record batches sent by DoGet.", ("kind",)
)
ARROW_STREAMS = Definition("fraiseql_arrow_streams", "gauge", "DoGet streams that are open.")
HTTP_REQUESTS = Definition(
    "fraiseql_http_requests_total",
    "counter",
    "HTTP requests that have ended.",
    ("route", "method", "status"),
)
HTTP_DURATION = Definition(
    "fraiseql_http_request_duration_seconds",
    "histogram",
    "Seconds from an HTTP request's arrival to its end.",
    ("route",),
)
HTTP_BYTES = Definition(
    "fraiseql_http_bytes_sent_total", "counter", "Bytes of HTTP bodies sent.", ("route",)
)

CACHE_HITS = Definition(
    "fraiseql_cache_hits_total", "counter", "GraphQL requests whose plan was cached."
)
CACHE_MISSES = Definition(
    "fraiseql_cache_misses_total", "counter", "GraphQL requests that had to be planned."
)
CACHE_BYTES = Definition(
    "fraiseql_cache_bytes", "gauge", "Approximate size of the cached GraphQL plans."
)
RESULT_HITS = Definition(
    "fraiseql_result_cache_hits_total", "counter", "GraphQL results that came from the cache."
)
RESULT_MISSES = Definition(
    "fraiseql_result_cache_misses_total",
    "counter",
    "GraphQL results that may be cached, and had to be read.",
)
RESULT_BYTES = Definition(
    "fraiseql_result_cache_bytes", "gauge", "Bytes of cached GraphQL results."
)
POOL_TOTAL = Definition(
    "fraiseql_db_pool_connections_total",
    "gauge",
    "Connections to PostgreSQL that are open.",
    ("pool",),
)
POOL_IDLE = Definition(
    "fraiseql_db_pool_connections_idle", "gauge", "Open connections that are idle.", ("pool",)
)
POOL_ACTIVE = Definition(
    "fraiseql_db_pool_connections_active", "gauge", "Open connections in use.", ("pool",)
)
POOL_LIMIT = Definition(
    "fraiseql_db_pool_connections_limit",
    "gauge",
    "The most connections that may be open.",
    ("pool",),
)
POOL_WAITING = Definition(
    "fraiseql_db_pool_requests_waiting", "gauge", "Queries that wait for a connection.", ("pool",)
)
REQUEST_LOG_PUBLISHED = Definition(
    "fraiseql_request_log_published_total", "counter", "Requests published to the request log."
)
REQUEST_LOG_DROPPED = Definition(
    "fraiseql_request_log_dropped_total",
    "counter",
    "Requests that were not published: the buffer was full or NATS refused them.",
)
REQUEST_LOG_WAITING = Definition(
    "fraiseql_request_log_waiting", "gauge", "Requests that wait to be published."
)

UP = Definition(
    "fraiseql_dependency_up",
    "gauge",
    "1 if the log or the plane answered when it was last asked, otherwise 0.",
    ("dependency",),
)
LOG_FIRST = Definition("fraiseql_log_first_sequence", "gauge", "First sequence in the log.")
LOG_LAST = Definition("fraiseql_log_last_sequence", "gauge", "Last sequence in the log.")
LOG_MESSAGES = Definition("fraiseql_log_messages", "gauge", "Messages in the log.")
LOG_BYTES = Definition("fraiseql_log_bytes", "gauge", "Bytes in the log.")
DEAD_LETTERS = Definition("fraiseql_dead_letter_messages", "gauge", "Dead-letter messages.")
PLANE_POSITION = Definition(
    "fraiseql_plane_position",
    "gauge",
    "The sequence up to which the plane misses no message.",
    ("plane",),
)
PLANE_LAG = Definition(
    "fraiseql_plane_lag_messages",
    "gauge",
    "Sequences in the log that the plane has not committed.",
    ("plane",),
)
PLANE_FRESHNESS = Definition(
    "fraiseql_plane_freshness_seconds",
    "gauge",
    "Age of the oldest message that the plane has not committed; 0 if it has all.",
    ("plane",),
)
PLANE_COMMIT = Definition(
    "fraiseql_plane_last_commit_timestamp_seconds",
    "gauge",
    "When the plane last committed a range, in seconds since 1970.",
    ("plane",),
)
PLANE_ROWS = Definition(
    "fraiseql_plane_rows", "gauge", "Rows that the plane's ledger has as committed.", ("plane",)
)
PLANE_ROWS_COMMITTED = Definition(
    "fraiseql_plane_rows_committed_total",
    "counter",
    "Rows committed to the plane while this service watches it; its rate is rows per second.",
    ("plane",),
)

COUNTED = (
    ARROW_REQUESTS,
    ARROW_DURATION,
    ARROW_ROWS,
    ARROW_BYTES,
    ARROW_BATCHES,
    ARROW_STREAMS,
    HTTP_REQUESTS,
    HTTP_DURATION,
    HTTP_BYTES,
)
"""Metrics that are counted when calls end."""
SAMPLED = (
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_BYTES,
    RESULT_HITS,
    RESULT_MISSES,
    RESULT_BYTES,
    POOL_TOTAL,
    POOL_IDLE,
    POOL_ACTIVE,
    POOL_LIMIT,
    POOL_WAITING,
    REQUEST_LOG_PUBLISHED,
    REQUEST_LOG_DROPPED,
    REQUEST_LOG_WAITING,
    UP,
    LOG_FIRST,
    LOG_LAST,
    LOG_MESSAGES,
    LOG_BYTES,
    DEAD_LETTERS,
    PLANE_POSITION,
    PLANE_LAG,
    PLANE_FRESHNESS,
    PLANE_COMMIT,
    PLANE_ROWS,
    PLANE_ROWS_COMMITTED,
)
"""Metrics whose values are read when they are scraped."""

DEFINITIONS = COUNTED + SAMPLED


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a sampled metric."""

    metric: Definition
    value: float
    labels: tuple[str, ...] = ()
    """The values of the metric's labels, in their order."""


Sampler = Callable[[], Iterable[Sample]]
"""Reads values. Returns within two seconds and never raises an error; unknown values are
omitted."""


class Metrics:
    """The values of one service. Thread-safe."""

    def __init__(self, samplers: Iterable[Sampler] = ()) -> None:
        # The additional series with the time of the first value are not needed.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        self._made: Mapping[str, Counter | Gauge | Histogram] = {
            metric.name: _made(metric, self.registry) for metric in COUNTED
        }
        self.registry.register(_Samples(tuple(samplers)))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def add(self, metric: Definition, amount: float, *labels: str) -> None:
        """Adds to a counter or a gauge."""
        made = self._made[metric.name]
        assert not isinstance(made, Histogram), metric.name
        (made.labels(*labels) if labels else made).inc(amount)

    def observe(self, metric: Definition, value: float, *labels: str) -> None:
        """Adds a value to a histogram."""
        made = self._made[metric.name]
        assert isinstance(made, Histogram), metric.name
        (made.labels(*labels) if labels else made).observe(value)


class _Samples(Collector):
    """Collects from samplers when the registry is scraped."""

    def __init__(self, samplers: tuple[Sampler, ...]) -> None:
        self._samplers = samplers

    def describe(self) -> list[Metric]:
        return [_family(metric) for metric in SAMPLED]

    def collect(self) -> list[Metric]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for sampler in self._samplers:
            for sample in sampler():
                name = sample.metric.name
                if name not in families:
                    families[name] = _family(sample.metric)
                families[name].add_metric(sample.labels, sample.value)
        return list(families.values())


def _made(metric: Definition, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    match metric.kind:
        case "counter":
            return Counter(metric.name, metric.meaning, metric.labels, registry=registry)
        case "gauge":
            return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
        case "histogram":
            return Histogram(
                metric.name, metric.meaning, metric.labels, registry=registry, buckets=SECONDS
            )


def _family(metric: Definition) -> CounterMetricFamily | GaugeMetricFamily:
    family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return family(metric.name, metric.meaning, labels=metric.labels)
