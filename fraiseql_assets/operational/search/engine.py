"""Searching events and requests: the one implementation behind command line, HTTP and Flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
from elasticsearch import BadRequestError, Elasticsearch, NotFoundError

from fraiseql_assets.datasets import EVENTS, REQUESTS
from fraiseql_assets.operational.client import connect, one_line, translated
from fraiseql_assets.operational.engine import close_point, is_opensearch, open_point
from fraiseql_assets.operational.filters import term
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.search.cursor import read_cursor, write_cursor
from fraiseql_assets.operational.search.request import (
    Counts,
    Kinds,
    SearchMistake,
    SearchRequest,
)
from fraiseql_assets.operational.search.results import AGGREGATIONS, count_batch, hit_batch
from fraiseql_assets.operational.search.schema import SOURCE
from fraiseql_assets.operational.search.syntax import checked
from fraiseql_assets.planes import PlaneOff
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

KEEP_ALIVE = "5m"
MARK, END_MARK = "<em>", "</em>"
_ANALYSED = 100_000
"""Characters of a text that are searched for what to highlight."""

_ORDER = (
    ("timestamp", "date"),
    ("stream_seq", "long"),
    ("stream_row", "long"),
    ("request_id", "keyword"),
)
"""What hits are sorted by. A position of the log has one event, and one request."""


class Search:
    """Searches the operational plane. Thread-safe.

    Every method raises:
        SearchMistake, QueryMistake: the search is wrong; the message says what would be right.
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
        """Returns when the search can be sent. Asks no server."""
        checked(request.query)
        if request.cursor:
            read_cursor(request)

    def hits(self, request: SearchRequest, *, tenant: str | None) -> pa.RecordBatch:
        """One page of hits, in `HIT_SCHEMA`.

        With `tenant`, the principal's own, no row of another tenant is found, whatever the request
        asks for.
        """
        query = self._query(request, tenant)
        point, after = read_cursor(request) if request.cursor else (None, None)
        with _asked(self._settings):
            if not self._has_any(request):
                return hit_batch([], None)
            try:
                found = self._page(request, query, point or self._open(request), after)
            except NotFoundError:
                # The point in time has expired. No two hits are equal in the order, so the page
                # continues after the same hit in a new one.
                found = self._page(request, query, self._open(request), after)
            except BadRequestError as error:
                raise _refused(error) from error
        hits = found["hits"]["hits"]
        more = len(hits) == request.limit
        cursor = write_cursor(request, found["pit_id"], _place(request, hits[-1])) if more else None
        if not more:
            with translated(self._settings):
                close_point(self._client, found["pit_id"])
        return hit_batch(hits, cursor)

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

    def counts(self, request: SearchRequest, by: Counts, *, tenant: str | None) -> pa.RecordBatch:
        """The hits counted by error code, by type or by hour, in `COUNT_SCHEMA`."""
        query = self._query(request, tenant)
        with _asked(self._settings):
            if not self._has_any(request):
                return count_batch({})
            try:
                found = self._client.search(
                    index=self._index(request),
                    ignore_unavailable=True,
                    size=0,
                    query=query,
                    aggs=AGGREGATIONS[by],
                    # An index that has not started is an error, not a smaller count.
                    allow_partial_search_results=False,
                    filter_path="aggregations",
                )
            except BadRequestError as error:
                raise _refused(error) from error
        return count_batch(found.get("aggregations") or {})

    def _index(self, request: SearchRequest) -> str:
        events, requests = self._events.all_days, self._requests.all_days
        match request.kinds:
            case Kinds.events:
                return events
            case Kinds.requests:
                return requests
        return f"{events},{requests}"

    def _has_any(self, request: SearchRequest) -> bool:
        """Whether there is an index of what is searched.

        Raises:
            NotFoundError: the plane is not set up.
        """
        if self._client.indices.exists(
            index=self._index(request), ignore_unavailable=True, allow_no_indices=False
        ):
            return True
        self._client.indices.get(index=self._events.ledger)
        return False

    def _open(self, request: SearchRequest) -> str:
        return open_point(self._client, self._index(request), KEEP_ALIVE, ignore_unavailable=True)

    def _page(
        self, request: SearchRequest, query: dict[str, Any], point: str, after: list[Any] | None
    ) -> dict[str, Any]:
        return self._client.search(
            pit={"id": point, "keep_alive": KEEP_ALIVE},
            query=query,
            sort=_sort(request),
            search_after=after,
            size=request.limit,
            source_includes=SOURCE,
            track_total_hits=False,
            allow_partial_search_results=False,
            highlight=self._highlight() if request.query or request.similar else None,
        ).body

    def _highlight(self) -> dict[str, Any]:
        limit = "max_analyzer_offset" if is_opensearch(self._client) else "max_analyzed_offset"
        return {
            "fields": {"text": {"number_of_fragments": 3, "fragment_size": 120}},
            "pre_tags": [MARK],
            "post_tags": [END_MARK],
            limit: _ANALYSED,
        }

    def _query(self, request: SearchRequest, tenant: str | None) -> dict[str, Any]:
        """The search as a query of the server. The principal's tenant is a filter beside the query
        string, so nothing in the string can widen it."""
        filters = _filters(request)
        must: list[dict[str, Any]] = []
        without: list[dict[str, Any]] = []
        text = checked(request.query).strip()
        if text:
            must.append(
                {
                    "query_string": {
                        "query": text,
                        "default_field": "text",
                        "default_operator": "AND",
                        "allow_leading_wildcard": True,
                        "analyze_wildcard": False,
                        "time_zone": "UTC",
                        "max_determinized_states": 1_000,
                    }
                }
            )
        if request.similar:
            must.append(self._like(request.similar, tenant))
            without.append({"term": {"request_id": request.similar}})
            filters.append({"term": {"status": "error"}})
        if tenant is not None:
            filters.append(term("tenant_id", tenant))
        return {"bool": {"must": must, "filter": filters, "must_not": without}}

    def _like(self, request_id: str, tenant: str | None) -> dict[str, Any]:
        """Requests whose errors and operation are like those of one."""
        filters = [{"term": {"request_id": request_id}}]
        if tenant is not None:
            filters.append(term("tenant_id", tenant))
        with translated(self._settings):
            found = self._client.search(
                index=self._requests.all_days,
                ignore_unavailable=True,
                query={"bool": {"filter": filters}},
                size=1,
                source_includes=["error_messages", "error_codes", "operation_name"],
            )["hits"]["hits"]
        if not found:
            raise SearchMistake(f"There is no request {request_id[:60]}.")
        source = found[0]["_source"]
        name = source.get("operation_name")
        like = [*source.get("error_messages", ()), *source.get("error_codes", ())]
        return {
            "more_like_this": {
                "fields": ["text"],
                "like": [" ".join([*like, *([name] if name else [])])],
                "min_term_freq": 1,
                "min_doc_freq": 1,
                "minimum_should_match": "50%",
            }
        }


@contextmanager
def _asked(settings: Settings) -> Iterator[None]:
    """Traces what is asked of the server, and translates its errors."""
    with span("Elasticsearch", system="elasticsearch"), translated(settings):
        yield


def _filters(request: SearchRequest) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = []
    times = {"gte": _text(request.since), "lt": _text(request.until)}
    times = {edge: at for edge, at in times.items() if at}
    if times:
        filters.append({"range": {"timestamp": times}})
    for name, value in (
        ("tenant_id", request.tenant),
        ("entity_type", request.entity_type),
        ("event_type", request.event_type),
    ):
        if value is not None:
            filters.append(term(name, value))
    if request.failed:
        filters.append({"term": {"status": "error"}})
    if request.entity is not None:
        filters.append(_any(term("entity_id", request.entity), _mentioned(request.entity)))
    if request.id is not None:
        names = ("event_id", "entity_id", "request_id", "user_id", "trace_id")
        exact = [{"term": {name: request.id}} for name in names]
        filters.append(_any(*exact, {"match_phrase": {"text": request.id}}))
    return filters


def _mentioned(text: str) -> dict[str, Any]:
    """Requests whose text contains this one."""
    return {
        "bool": {"filter": [{"exists": {"field": "request_id"}}, {"match_phrase": {"text": text}}]}
    }


def _any(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"should": list(conditions), "minimum_should_match": 1}}


def _text(moment: datetime | None) -> str | None:
    return moment and f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _sort(request: SearchRequest) -> list[Any]:
    """An order in which no two hits are equal, so that a page can continue in any later point in
    time."""
    order = "asc" if request.oldest_first else "desc"
    by_time = [
        {name: {"order": order, "missing": "_last", "unmapped_type": kind}} for name, kind in _ORDER
    ]
    return [{"_score": "desc"}, *by_time] if request.similar else by_time


def _place(request: SearchRequest, hit: dict[str, Any]) -> list[Any]:
    """A hit's sort values, without the one that the server adds for its point in time."""
    return hit["sort"][: len(_sort(request))]


def _refused(error: BadRequestError) -> SearchMistake:
    """The server's reason for refusing a search that passed the check."""
    body = error.body if isinstance(error.body, dict) else {}
    causes = (body.get("error") or {}).get("root_cause") or [{}]
    return SearchMistake(f"The query cannot be answered: {one_line(causes[0].get('reason'))[:300]}")
