"""Automatic persisted queries: a client sends a query's hash, and the query itself only once."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from flight_service.graphql.errors import PersistedQueryNotFound, QueryRefused

MOST_CHARACTERS = 2**22
"""What all remembered queries have together."""


class PersistedQueries:
    """Remembers queries by their hashes, the ones that were asked last. Thread-safe."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self._most = most_characters
        self._size = 0
        self._queries: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, query: str | None, extensions: Mapping[str, Any] | None) -> str:
        """The query of a request: the one that it holds, or that its hash stands for.

        Raises:
            PersistedQueryNotFound: the hash stands for none that is remembered.
            QueryRefused: there is neither, or the query has another hash.
        """
        asked = (extensions or {}).get("persistedQuery")
        given = asked.get("sha256Hash") if isinstance(asked, Mapping) else None
        if not isinstance(given, str):
            if query is None:
                raise QueryRefused("The request has no query.")
            return query
        if query is None:
            with self._lock:
                if given not in self._queries:
                    raise PersistedQueryNotFound
                self._queries.move_to_end(given)
                return self._queries[given]
        if hashlib.sha256(query.encode()).hexdigest() != given.lower():
            raise QueryRefused("The query has another SHA-256 hash than the request says.")
        self._remember(given, query)
        return query

    def _remember(self, key: str, query: str) -> None:
        with self._lock:
            self._size += len(query) - len(self._queries.pop(key, ""))
            self._queries[key] = query
            while self._size > self._most:
                _, left = self._queries.popitem(last=False)
                self._size -= len(left)
