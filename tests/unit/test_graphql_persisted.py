"""Persisted queries are stored up to a limit."""

import hashlib

import pytest

from flight_service.graphql.errors import PersistedQueryNotFound, QueryRefused
from flight_service.graphql.request.persisted import PersistedQueries


def extensions(query: str) -> dict[str, object]:
    return {"persistedQuery": {"sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}


def test_the_most_recent_queries_are_stored() -> None:
    queries = PersistedQueries(max_characters=10)
    for query in ("{aaa}", "{bbb}"):
        assert queries.resolve(query, extensions(query)) == query
    assert queries.resolve(None, extensions("{aaa}")) == "{aaa}"
    queries.resolve("{ccc}", extensions("{ccc}"))
    with pytest.raises(PersistedQueryNotFound):
        queries.resolve(None, extensions("{bbb}"))
    assert queries.resolve(None, extensions("{aaa}")) == "{aaa}"


@pytest.mark.parametrize("odd", [None, {}, {"persistedQuery": 1}, {"persistedQuery": {"x": 1}}])
def test_a_request_without_a_hash_must_have_a_query(odd: dict[str, object] | None) -> None:
    assert PersistedQueries().resolve("{a}", odd) == "{a}"
    with pytest.raises(QueryRefused):
        PersistedQueries().resolve(None, odd)
