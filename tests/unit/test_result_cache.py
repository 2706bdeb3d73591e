"""Which GraphQL results may be cached and for how long, and what the cache keeps."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flight_service.changed_entities import ChangedEntities
from flight_service.graphql.errors import SchemaInvalid
from flight_service.graphql.execution import result_cache
from flight_service.graphql.execution.result_cache import OVERHEAD, ResultCache
from flight_service.graphql.planning.caching import Lifetime, lifetime_of
from flight_service.graphql.request.operation import Limits, read_operation
from flight_service.graphql.schema.decoding import decode
from flight_service.graphql.schema.graphql_schema import Schema, build_schema
from flight_service.tail_fan_out import FanOut, FollowedLog
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.stream.connection import LogUnavailable
from tests.unit.test_tail_fan_out import BATCHING, FakeLog

SCHEMA = """{
    "types": [
        {"name": "Order", "sql_source": "v_order", "fields": [
            {"name": "id", "field_type": "ID"},
            {"name": "customer", "field_type": {"Object": "Customer"}},
            {"name": "lines", "field_type": {"List": {"Object": "Line"}}}
        ]},
        {"name": "Customer", "sql_source": "v_customer", "fields": [
            {"name": "name", "field_type": "String"}
        ]},
        {"name": "Line", "fields": [{"name": "sku", "field_type": "String"}]},
        {"name": "Stock", "sql_source": "v_stock", "fields": [
            {"name": "sku", "field_type": "String"}
        ]}
    ],
    "unions": [{"name": "Party", "member_types": ["Customer", "Stock"]}],
    "queries": [
        {"name": "orders", "return_type": "Order", "returns_list": true, "cache_ttl_seconds": 60,
         "auto_params": {"has_where": true, "has_order_by": true}},
        {"name": "stocks", "return_type": "Stock", "returns_list": true, "cache_ttl_seconds": 5,
         "additional_views": ["v_order", "v_other"]},
        {"name": "parties", "return_type": "Party", "returns_list": true, "sql_source": "v_party",
         "cache_ttl_seconds": 5},
        {"name": "customers", "return_type": "Customer", "returns_list": true},
        {"name": "never", "return_type": "Customer", "returns_list": true, "cache_ttl_seconds": 0}
    ]
}"""
LIFETIME = Lifetime(60, frozenset(("order",)))


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(decode(SCHEMA.encode()))


def lifetime(schema: Schema, query: str) -> Lifetime | None:
    return lifetime_of(schema, read_operation(schema, query, {}, None, Limits(10, 100, 1000)))


@pytest.mark.parametrize(
    ("query", "seconds", "entities"),
    [
        ("{ orders { id } }", 60, {"order"}),
        ("{ orders { id customer { name } } }", 60, {"order", "customer"}),
        ("{ orders { lines { sku } } }", 60, {"order", "line"}),
        ('{ orders(where: {customer: {name: {eq: "a"}}}) { id } }', 60, {"order", "customer"}),
        (
            '{ orders(where: {_or: [{customer: {name: {eq: "a"}}}]}) { id } }',
            60,
            {"order", "customer"},
        ),
        ("{ stocks { sku } }", 5, {"stock", "order", "v_other"}),
        ("{ parties { ... on Stock { sku } } }", 5, {"customer", "stock"}),
        ("{ orders { id } stocks { sku } }", 5, {"order", "stock", "v_other"}),
    ],
)
def test_a_result_depends_on_its_selected_and_filtered_types(
    schema: Schema, query: str, seconds: int, entities: set[str]
) -> None:
    found = lifetime(schema, query)
    assert found == Lifetime(seconds, frozenset(entities))


@pytest.mark.parametrize(
    "query",
    ["{ customers { name } }", "{ never { name } }", "{ orders { id } customers { name } }"],
)
def test_a_result_is_cached_only_if_every_query_allows_it(schema: Schema, query: str) -> None:
    assert lifetime(schema, query) is None


def test_a_negative_lifetime_is_an_error_of_the_schema() -> None:
    text = SCHEMA.replace('"cache_ttl_seconds": 0', '"cache_ttl_seconds": -1')
    with pytest.raises(SchemaInvalid, match="cache_ttl_seconds"):
        decode(text.encode())


class Reads:
    """A result, and how often it was read."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces or (b"a", b"b")
        self.count = 0

    def __call__(self) -> Iterator[bytes]:
        self.count += 1
        yield from self.pieces


def read(cache: ResultCache, reads: Reads, key: str = "k", **more: Cancellation) -> list[bytes]:
    return list(cache.through(key, LIFETIME, reads, len, **more))


def test_concurrent_reads_share_one_result() -> None:
    cache, reads = ResultCache(100_000), Reads()
    assert [read(cache, reads), read(cache, reads)] == [[b"a", b"b"]] * 2
    assert reads.count == 1
    usage = cache.usage()
    assert (usage.hits, usage.misses, usage.bytes) == (1, 1, OVERHEAD + 2)


def test_results_are_cached_by_key() -> None:
    cache, reads = ResultCache(100_000), Reads()
    read(cache, reads)
    read(cache, reads, "other")
    assert reads.count == 2


def test_a_result_expires_after_the_time_of_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, reads = ResultCache(100_000), Reads()
    read(cache, reads)
    monkeypatch.setattr(result_cache, "monotonic", lambda: time.monotonic() + LIFETIME.seconds)
    read(cache, reads)
    assert reads.count == 2


@pytest.mark.parametrize(("entity", "count"), [("Order", 2), ("ORDER", 2), ("Customer", 1)])
def test_an_event_of_its_entities_removes_a_result(entity: str, count: int) -> None:
    cache, reads = ResultCache(100_000), Reads()
    read(cache, reads)
    cache.drop([entity])
    read(cache, reads)
    assert reads.count == count
    assert cache.usage().bytes == OVERHEAD + 2


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda cache: cache.drop(["Order"]), 2),
        (lambda cache: cache.drop(["Customer"]), 1),
        (lambda cache: cache.clear(), 2),
    ],
)
def test_a_result_read_before_a_change_is_not_cached(change: object, count: int) -> None:
    cache, reads = ResultCache(100_000), Reads()
    reading = cache.through("k", LIFETIME, reads, len)
    next(reading)
    assert callable(change)
    change(cache)
    list(reading)
    read(cache, reads)
    assert reads.count == count


def test_a_result_above_its_share_is_not_cached() -> None:
    cache, reads = ResultCache(8 * OVERHEAD), Reads(b"a", b"b" * 100)
    assert read(cache, reads) == [b"a", b"b" * 100]
    assert cache.usage().bytes == 0


def test_the_size_of_the_cache_is_limited() -> None:
    cache, reads = ResultCache(20 * OVERHEAD), Reads(b"a" * OVERHEAD)
    for number in range(11):
        read(cache, reads, f"{number}")
    assert cache.usage().bytes == 20 * OVERHEAD
    read(cache, reads, "10")
    assert reads.count == 11
    read(cache, reads, "0")
    assert reads.count == 12


def test_a_partial_result_is_not_cached() -> None:
    cache, reads = ResultCache(100_000), Reads()
    reading = cache.through("k", LIFETIME, reads, len)
    next(reading)
    reading.close()  # pyright: ignore[reportAttributeAccessIssue]
    cancellation = Cancellation()
    cancellation.cancel()
    read(cache, reads, cancellation=cancellation)
    assert cache.usage().bytes == 0


def test_a_failed_result_is_not_cached() -> None:
    def fails() -> Iterator[bytes]:
        yield b"a"
        raise ValueError("broken")

    cache = ResultCache(100_000)
    with pytest.raises(ValueError, match="broken"):
        list(cache.through("k", LIFETIME, fails, len))
    assert cache.usage().bytes == 0


class WatchedCache(ResultCache):
    """A cache that says when it was cleared and what was dropped."""

    def __init__(self) -> None:
        super().__init__(100_000)
        self.cleared, self.dropped = threading.Event(), threading.Event()

    def clear(self) -> int:
        try:
            return super().clear()
        finally:
            self.cleared.set()

    def drop(self, entities: object) -> None:
        super().drop(["Order"])
        self.dropped.set()


def test_the_log_is_followed_from_the_first_use() -> None:
    log, cache, reads = FakeLog(), WatchedCache(), Reads()
    ChangedEntities(FanOut(log.open, BATCHING), cache)
    assert log.opened == 0
    read(cache, reads)
    assert cache.cleared.wait(10)
    read(cache, reads)
    # 1 or 2: the cache may have been cleared before or after the first use.
    before = reads.count
    log.publish(1)
    assert cache.dropped.wait(10)
    read(cache, reads)
    assert (log.opened, reads.count) == (1, before + 1)


def test_results_are_cached_while_the_log_cannot_be_followed() -> None:
    asked = threading.Event()

    @contextmanager
    def open_log() -> Iterator[FollowedLog]:
        asked.set()
        raise LogUnavailable("NATS does not answer.")
        yield FakeLog()

    cache, reads = ResultCache(100_000), Reads()
    ChangedEntities(FanOut(open_log, BATCHING), cache)
    read(cache, reads)
    assert asked.wait(10)
    read(cache, reads)
    assert reads.count == 1
