"""Searches as queries of the search engine."""

from datetime import UTC, datetime
from typing import Any

from elasticsearch import BadRequestError, Elasticsearch

from fraiseql_assets.one_line import one_line
from fraiseql_assets.operational.engine import is_opensearch
from fraiseql_assets.operational.filters import term
from fraiseql_assets.operational.search.request import SearchMistake, SearchRequest
from fraiseql_assets.operational.search.syntax import ParsedQuery

MARK, END_MARK = "<em>", "</em>"
_ANALYSED = 100_000
"""The number of characters in which matches are highlighted."""
_ORDER = (
    ("timestamp", "date"),
    ("stream_seq", "long"),
    ("stream_row", "long"),
    ("request_id", "keyword"),
)
"""The sort keys of hits. A log position has one event or one request."""


def check_lengths(query: ParsedQuery, client: Elasticsearch) -> None:
    """Returns if the client's server indexes values as long as those of the query.

    Raises:
        QueryMistake: it does not, so the value would never be found.
    """
    # OpenSearch indexes the values of paths without a limit.
    if query.too_long and not is_opensearch(client):
        raise query.too_long


def refused_by_server(error: BadRequestError) -> SearchMistake:
    """The server's reason for refusing a valid search."""
    body = error.body if isinstance(error.body, dict) else {}
    causes = (body.get("error") or {}).get("root_cause") or [{}]
    return SearchMistake(f"The query cannot be answered: {one_line(causes[0].get('reason'))[:300]}")


def query_of(
    request: SearchRequest, tenant: str | None, like: dict[str, Any] | None
) -> dict[str, Any]:
    """The search as a query of the server. The principal's tenant is a filter beside the query
    string, so nothing in the string can widen it.

    `like` is the condition that finds requests like `request.similar`.
    """
    filters = filters_of(request)
    must: list[dict[str, Any]] = []
    without: list[dict[str, Any]] = []
    text = request.parsed.sent.strip()
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
    if like:
        must.append(like)
        without.append({"term": {"request_id": request.similar}})
        filters.append({"term": {"status": "error"}})
    if tenant is not None:
        filters.append(term("tenant_id", tenant))
    return {"bool": {"must": must, "filter": filters, "must_not": without}}


def like_request(source: dict[str, Any]) -> dict[str, Any]:
    """The condition that finds requests whose errors and operation are like those of one."""
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


def filters_of(request: SearchRequest) -> list[dict[str, Any]]:
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
    """Requests whose text contains this text."""
    return {
        "bool": {"filter": [{"exists": {"field": "request_id"}}, {"match_phrase": {"text": text}}]}
    }


def _any(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"should": list(conditions), "minimum_should_match": 1}}


def _text(moment: datetime | None) -> str | None:
    return moment and f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def sort_of(request: SearchRequest) -> list[Any]:
    """An order in which no two hits are equal, so that a page can continue in any later point in
    time."""
    order = "asc" if request.oldest_first else "desc"
    by_time = [
        {name: {"order": order, "missing": "_last", "unmapped_type": kind}} for name, kind in _ORDER
    ]
    return [{"_score": "desc"}, *by_time] if request.similar else by_time


def highlight_for(client: Elasticsearch) -> dict[str, Any]:
    """How the client's server marks what it has found in a text."""
    limit = "max_analyzer_offset" if is_opensearch(client) else "max_analyzed_offset"
    return {
        "fields": {"text": {"number_of_fragments": 3, "fragment_size": 120}},
        "pre_tags": [MARK],
        "post_tags": [END_MARK],
        limit: _ANALYSED,
    }


def sort_values(request: SearchRequest, hit: dict[str, Any]) -> list[Any]:
    """A hit's sort values, without the one that the server adds for its point in time."""
    return hit["sort"][: len(sort_of(request))]
