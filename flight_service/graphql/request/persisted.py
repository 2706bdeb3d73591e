"""Automatic persisted queries: a client sends the hash of a query, and the query itself once."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from flight_service.graphql.errors import PersistedQueryNotFound, QueryRefused

MAX_CHARACTERS = 2**22
"""The total size of the stored queries."""


class PersistedQueries:
    """Stores the most recent queries by their hashes. Thread-safe."""

    def __init__(self, max_characters: int = MAX_CHARACTERS) -> None:
        self._max = max_characters
        self._size = 0
        self._queries: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, query: str | None, extensions: Mapping[str, Any] | None) -> str:
        """The query of a request: the one in the request, or the one stored for its hash.

        Raises:
            PersistedQueryNotFound: no query is stored for the hash.
            QueryRefused: the request has neither, or its hash is not that of its query.
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
        self._store(given, query)
        return query

    def _store(self, key: str, query: str) -> None:
        with self._lock:
            self._size += len(query) - len(self._queries.pop(key, ""))
            self._queries[key] = query
            while self._size > self._max:
                _, left = self._queries.popitem(last=False)
                self._size -= len(left)
