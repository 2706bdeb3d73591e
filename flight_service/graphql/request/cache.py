"""A cache whose size in bytes is limited."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """How a cache has been used so far."""

    hits: int
    misses: int
    bytes: int
    """The approximate size of its values."""


class ByteCache(Generic[T]):
    """Removes what was used least recently. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.bytes = 0
        """The approximate size of its values."""
        self._hits = self._misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Stores a value of about that size, unless it is larger than an eighth of the cache."""
        if size > self._max_bytes // 8:
            return
        with self._lock:
            _, before = self._entries.pop(key, (None, 0))
            self._entries[key] = value, size
            self.bytes += size - before
            while self.bytes > self._max_bytes:
                _, (_, freed) = self._entries.popitem(last=False)
                self.bytes -= freed

    def usage(self) -> CacheUsage:
        """How it was used so far."""
        with self._lock:
            return CacheUsage(self._hits, self._misses, self.bytes)

    def clear(self) -> int:
        """Removes all values; returns their number."""
        with self._lock:
            count = len(self._entries)
            self._entries.clear()
            self.bytes = 0
        return count
