"""Searches events and requests, for the command line, HTTP and Flight."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyarrow as pa
from elastic_transport import TransportError
from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.datasets import EVENTS, REQUESTS
from fraiseql_assets.operational.client import connect, translated
from fraiseql_assets.operational.engine import close_point, open_point
from fraiseql_assets.operational.filters import term
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.interruption import Interruption
from fraiseql_assets.operational.search.cursor import read_cursor, write_cursor
from fraiseql_assets.operational.search.query import (
    check_lengths,
    highlight_for,
    like_request,
    query_of,
    refused_by_server,
    sort_of,
    sort_values,
)
from fraiseql_assets.operational.search.request import Counts, Kinds, SearchMistake, SearchRequest
from fraiseql_assets.operational.search.results import AGGREGATIONS, count_batch, hit_batch
from fraiseql_assets.operational.search.schema import SOURCE
from fraiseql_assets.operational.search.unavailable_days import (
    NotAllSearched,
    after_failure,
    closed,
    has_open_day,
    leave_out,
    not_started,
    require_found,
    require_named,
)
from fraiseql_assets.planes import PlaneOff
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

KEEP_ALIVE = "5m"


class Search:
    """Searches the operational plane. Thread-safe.

    A search whose `cancellation` is cancelled ends with some error, on the server too.

    Every method raises:
        SearchMistake, QueryMistake: the search is invalid; the message says what is valid.
        PlaneOff: the operational plane is switched off.
        PlaneUnavailable: the server cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._events, self._requests = Names.of(settings, EVENTS), Names.of(settings, REQUESTS)

    @cached_property
    def _client(self) -> Elasticsearch:
        if not self._settings.operational_plane:
            raise PlaneOff("operational")
        return connect(self._settings, timeout=self._settings.request_timeout_seconds)

    def check(self, request: SearchRequest) -> None:
        """Returns if the search can begin. Sends no request."""
        if request.cursor:
            read_cursor(request)

    def hits(
        self,
        request: SearchRequest,
        *,
        tenant: str | None,
        cancellation: Cancellation | None = None,
    ) -> pa.RecordBatch:
        """One page of hits, in `HIT_SCHEMA`.

        With `tenant`, the principal's own, no row of another tenant is found, whatever the request
        asks for. A partial search names the days that could not be searched in every row.

        Raises:
            NotAllSearched: the search is partial, and nothing is in the days that were searched.
        """
        interruption = Interruption(cancellation)
        query = self._query(request, tenant, interruption)
        point, after = read_cursor(request) if request.cursor else ("", None)
        with _asked(self._settings):
            missing = leave_out(closed(self._client, self._names(request), request), request)
            if not self._has_any(request):
                return hit_batch([], None, require_found(missing))
            try:
                found = self._whole_page(request, query, point, after, interruption)
            except ApiError as error:
                names = self._names(request)
                red = after_failure(self._client, names, request, error)
                body = self._page(request, query, after)
                found = self._search(interruption, **self._over(request), **body)
                missing += require_named(self._client, names, red, found)
        hits, point = found["hits"]["hits"], found.get("pit_id", "")
        # A client that has gone gets no cursor, so the point in time is closed.
        more = len(hits) == request.limit and not interruption.is_over
        cursor = write_cursor(request, point, sort_values(request, hits[-1])) if more else None
        if not more and point:
            with translated(self._settings):
                close_point(self._client, point)
        if not hits and not request.cursor:
            require_found(missing)
        return hit_batch(hits, cursor, missing)

    def _whole_page(
        self,
        request: SearchRequest,
        query: dict[str, Any],
        point: str,
        after: list[Any] | None,
        interruption: Interruption,
    ) -> dict[str, Any]:
        """A page of all days, at a point in time; an error if a day cannot be searched."""
        body = self._page(request, query, after)

        def search(point: str) -> dict[str, Any]:
            pit = {"id": point, "keep_alive": KEEP_ALIVE}
            return self._search(interruption, pit=pit, allow_partial_search_results=False, **body)

        if point:
            # An expired one is not found. No two hits are equal in the order, so the page continues
            # after the same hit in a new one.
            with suppress(NotFoundError):
                return search(point)
        point = open_point(self._client, self._index(request), KEEP_ALIVE, ignore_unavailable=True)
        try:
            return search(point)
        except BaseException:
            with suppress(ApiError, TransportError):
                close_point(self._client, point)
            raise

    def _search(self, interruption: Interruption, **body: Any) -> dict[str, Any]:
        """The server's response.

        Raises:
            SearchMistake: it refuses the search.
        """
        try:
            with interruption.applies():
                return self._client.search(**body).body
        except BadRequestError as error:
            raise refused_by_server(error) from error

    def pages(self, request: SearchRequest, *, tenant: str | None) -> Iterator[pa.RecordBatch]:
        """All pages of a search, each of up to `limit` hits."""
        while True:
            page = self.hits(request, tenant=tenant)
            if page.num_rows:
                yield page
            cursor = page["cursor"][-1].as_py() if page.num_rows else None
            if cursor is None:
                return
            request = replace(request, cursor=cursor)

    def counts(
        self,
        request: SearchRequest,
        by: Counts,
        *,
        tenant: str | None,
        cancellation: Cancellation | None = None,
    ) -> pa.RecordBatch:
        """The hits counted by error code, by type or by hour, in `COUNT_SCHEMA`.

        A partial search names the days that could not be searched in every row.

        Raises:
            NotAllSearched: the search is partial, and nothing is in the days that were searched.
        """
        interruption = Interruption(cancellation)
        query = self._query(request, tenant, interruption)
        body = {**self._over(request), "size": 0, "query": query, "aggs": AGGREGATIONS[by]}
        with _asked(self._settings):
            missing = leave_out(closed(self._client, self._names(request), request), request)
            if not self._has_any(request):
                return count_batch({}, require_found(missing))
            try:
                # An index that has not started is an error, not a smaller count.
                whole = {**body, "allow_partial_search_results": False}
                found = self._search(interruption, **whole)
            except ApiError as error:
                names = self._names(request)
                red = after_failure(self._client, names, request, error)
                found = self._search(interruption, **body)
                missing += require_named(self._client, names, red, found)
        batch = count_batch(found.get("aggregations") or {}, missing)
        if not batch.num_rows:
            require_found(missing)
        return batch

    def _over(self, request: SearchRequest) -> dict[str, Any]:
        """The target of a search that may omit days."""
        return {
            "index": self._index(request),
            "ignore_unavailable": True,
            "allow_partial_search_results": True,
        }

    def _names(self, request: SearchRequest) -> list[Names]:
        """The datasets to search."""
        match request.kinds:
            case Kinds.events:
                return [self._events]
            case Kinds.requests:
                return [self._requests]
        return [self._events, self._requests]

    def _index(self, request: SearchRequest) -> str:
        return ",".join(names.all_days for names in self._names(request))

    def _has_any(self, request: SearchRequest) -> bool:
        """Whether the searched datasets have an index that is open. Over closed ones alone,
        OpenSearch gives no point in time.

        Raises:
            NotFoundError: the plane is not set up.
        """
        if has_open_day(self._client, self._names(request)):
            return True
        self._client.indices.get(index=self._events.ledger)
        return False

    def _page(
        self, request: SearchRequest, query: dict[str, Any], after: list[Any] | None
    ) -> dict[str, Any]:
        """The body of the request for a page."""
        return {
            "query": query,
            "sort": sort_of(request),
            "search_after": after,
            "size": request.limit,
            "source_includes": SOURCE,
            "track_total_hits": False,
            "highlight": highlight_for(self._client) if request.query or request.similar else None,
        }

    def _query(
        self, request: SearchRequest, tenant: str | None, interruption: Interruption
    ) -> dict[str, Any]:
        with translated(self._settings):
            check_lengths(request.parsed, self._client)
        like = self._like(request.similar, tenant, interruption) if request.similar else None
        return query_of(request, tenant, like)

    def _like(
        self, request_id: str, tenant: str | None, interruption: Interruption
    ) -> dict[str, Any]:
        """The condition that finds similar requests.

        Raises:
            SearchMistake: there is no such request.
            PlaneUnavailable: it is not in the days that can be searched.
        """
        filters = [{"term": {"request_id": request_id}}]
        if tenant is not None:
            filters.append(term("tenant_id", tenant))
        with translated(self._settings):
            answer = self._search(
                interruption,
                index=self._requests.all_days,
                ignore_unavailable=True,
                query={"bool": {"filter": filters}},
                size=1,
                source_includes=["error_messages", "error_codes", "operation_name"],
                allow_partial_search_results=True,
            )
            found = answer["hits"]["hits"]
            if not found and answer["_shards"]["failed"]:
                raise NotAllSearched(not_started(self._client, [self._requests]))
        if not found:
            raise SearchMistake(f"There is no request {request_id[:60]}.")
        return like_request(found[0]["_source"])


@contextmanager
def _asked(settings: Settings) -> Iterator[None]:
    """Traces requests to the server, and translates its errors."""
    with span("Elasticsearch", system="elasticsearch"), translated(settings):
        yield
