"""Cached results: a limited number of bytes, each until its time is over or an entity changes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

from flight_service.graphql.planning.caching import Lifetime
from flight_service.graphql.request.cache import CacheUsage
from flight_service.monitoring.calls import current
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.iterators import close_iterator

SHARE = 8
"""A result is kept if it takes at most this part of the cache."""
OVERHEAD = 1000
"""About how many bytes an entry takes besides its pieces."""

Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class _Entry:
    pieces: list[Any]
    size: int
    rows: int
    entities: frozenset[str]
    until: float


class ResultCache:
    """Whole results by their key. Thread-safe.

    A result is stored only if none of its entities has changed since its reading began, so that
    what was read before a change is not kept after it.
    """

    def __init__(self, max_bytes: int) -> None:
        """With 0 bytes, nothing is kept."""
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self._changes = 0
        self._changed: dict[str, int] = {}
        self._cleared = 0
        self.before_use: Callable[[], None] | None = None
        """Called before a result is looked up."""

    @property
    def is_on(self) -> bool:
        return self._max_bytes > 0

    def through(
        self,
        key: Hashable,
        lifetime: Lifetime,
        read: Callable[[], Iterator[Piece]],
        size_of: Callable[[Piece], int],
        cancellation: Cancellation | None = None,
    ) -> Iterator[Piece]:
        """The pieces of a result: those in the cache, or those that `read` gives, which are kept
        if they are whole and small enough. Closing the iterator closes that of `read`."""
        if self.before_use:
            self.before_use()
        found, began = self._get(key)
        call = current.get()
        if found is not None:
            if call:
                call.count_rows(found.rows)
            yield from found.pieces
            return
        before = (call.rows or 0) if call else 0
        kept: list[Piece] | None = []
        size = OVERHEAD
        pieces = read()
        try:
            for piece in pieces:
                size += size_of(piece)
                if size > self._max_bytes // SHARE:
                    kept = None
                if kept is not None:
                    kept.append(piece)
                yield piece
        finally:
            close_iterator(pieces)
        if kept is not None and not (cancellation and cancellation.over):
            rows = (call.rows or 0) - before if call else _rows(kept)
            until = monotonic() + lifetime.seconds
            self._put(key, _Entry(kept, size, rows, lifetime.entities, until), began)

    def drop(self, entities: Iterable[str]) -> None:
        """Removes the results that depend on any of these entities."""
        names = {name.lower() for name in entities}
        with self._lock:
            self._changes += 1
            self._changed |= dict.fromkeys(names, self._changes)
            for key in [
                key for key, entry in self._entries.items() if not names.isdisjoint(entry.entities)
            ]:
                self._remove(key)

    def clear(self) -> int:
        """Removes all results; returns their number."""
        with self._lock:
            count = len(self._entries)
            self._changes += 1
            self._cleared = self._changes
            self._changed.clear()
            self._entries.clear()
            self._bytes = 0
        return count

    def usage(self) -> CacheUsage:
        """How it was used so far."""
        with self._lock:
            return CacheUsage(self._hits, self._misses, self._bytes)

    def _get(self, key: Hashable) -> tuple[_Entry | None, int]:
        """The result of a key, and the number of changes until now."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None and found.until <= monotonic():
                self._remove(key)
                found = None
            if found is None:
                self._misses += 1
            else:
                self._hits += 1
                self._entries.move_to_end(key)
            return found, self._changes

    def _put(self, key: Hashable, entry: _Entry, began: int) -> None:
        with self._lock:
            changed = max((self._changed.get(one, 0) for one in entry.entities), default=0)
            if max(changed, self._cleared) > began:
                return
            if key in self._entries:
                self._remove(key)
            self._entries[key] = entry
            self._bytes += entry.size
            while self._bytes > self._max_bytes:
                self._remove(next(iter(self._entries)))

    def _remove(self, key: Hashable) -> None:
        self._bytes -= self._entries.pop(key).size


def _rows(pieces: list[Any]) -> int:
    return sum(getattr(piece, "num_rows", 0) for piece in pieces)
