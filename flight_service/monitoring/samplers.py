"""Samples of values that other parts of the service hold."""

from collections.abc import Iterator

from flight_service.graphql.service import GraphQL
from flight_service.monitoring import metrics
from flight_service.monitoring.metrics import Sample, Sampler
from fraiseql_assets.request_log.publisher import RequestLog, RequestRecorder


def graphql_sampler(graphql: GraphQL) -> Sampler:
    """The caches of plans and results, and the connection pools."""

    def sample() -> Iterator[Sample]:
        cache = graphql.cache_usage()
        yield Sample(metrics.CACHE_HITS, cache.hits)
        yield Sample(metrics.CACHE_MISSES, cache.misses)
        yield Sample(metrics.CACHE_BYTES, cache.bytes)
        results = graphql.results.usage()
        yield Sample(metrics.RESULT_HITS, results.hits)
        yield Sample(metrics.RESULT_MISSES, results.misses)
        yield Sample(metrics.RESULT_BYTES, results.bytes)
        for pool, usage in graphql.pool_usage().items():
            yield Sample(metrics.POOL_TOTAL, usage.idle + usage.active, (pool,))
            yield Sample(metrics.POOL_IDLE, usage.idle, (pool,))
            yield Sample(metrics.POOL_ACTIVE, usage.active, (pool,))
            yield Sample(metrics.POOL_LIMIT, usage.limit, (pool,))
            yield Sample(metrics.POOL_WAITING, usage.waiting, (pool,))

    return sample


def request_log_sampler(recorder: RequestRecorder) -> Sampler:
    """The counts of the request log; none if requests are not recorded."""

    def sample() -> Iterator[Sample]:
        if isinstance(recorder, RequestLog):
            counts = recorder.counts()
            yield Sample(metrics.REQUEST_LOG_PUBLISHED, counts.published)
            yield Sample(metrics.REQUEST_LOG_DROPPED, counts.dropped)
            yield Sample(metrics.REQUEST_LOG_WAITING, counts.waiting)

    return sample
