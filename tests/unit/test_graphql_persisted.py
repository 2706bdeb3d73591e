"""Persisted queries are remembered within a bound."""

import hashlib

import pytest

from flight_service.graphql.errors import PersistedQueryNotFound, QueryRefused
from flight_service.graphql.request.persisted import PersistedQueries


def extensions(query: str) -> dict[str, object]:
    return {"persistedQuery": {"sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}


def test_the_queries_that_were_asked_last_are_remembered() -> None:
    queries = PersistedQueries(most_characters=10)
    for query in ("{aaa}", "{bbb}"):
        assert queries.resolve(query, extensions(query)) == query
    assert queries.resolve(None, extensions("{aaa}")) == "{aaa}"
    queries.resolve("{ccc}", extensions("{ccc}"))
    with pytest.raises(PersistedQueryNotFound):
        queries.resolve(None, extensions("{bbb}"))
    assert queries.resolve(None, extensions("{aaa}")) == "{aaa}"


@pytest.mark.parametrize("odd", [None, {}, {"persistedQuery": 1}, {"persistedQuery": {"x": 1}}])
def test_a_request_without_a_hash_holds_its_query(odd: dict[str, object] | None) -> None:
    assert PersistedQueries().resolve("{a}", odd) == "{a}"
    with pytest.raises(QueryRefused):
        PersistedQueries().resolve(None, odd)
