"""A cache that is bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """How a cache was used so far."""

    hits: int
    misses: int
    bytes: int
    """About how many are held."""


class ByteCache(Generic[Value]):
    """Forgets what was used least recently. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.bytes = 0
        """About how many are held."""
        self._hits = self._misses = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> Value | None:
        with self._lock:
            found = self._held.get(key)
            if found is None:
                self._misses += 1
                return None
            self._hits += 1
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Remembers a value of about that size, unless it would take much of the cache."""
        if size > self._most_bytes // 8:
            return
        with self._lock:
            _, before = self._held.pop(key, (None, 0))
            self._held[key] = value, size
            self.bytes += size - before
            while self.bytes > self._most_bytes:
                _, (_, freed) = self._held.popitem(last=False)
                self.bytes -= freed

    def usage(self) -> CacheUsage:
        """How it was used so far."""
        with self._lock:
            return CacheUsage(self._hits, self._misses, self.bytes)

    def clear(self) -> int:
        """Forgets everything; returns how many values that was."""
        with self._lock:
            count = len(self._held)
            self._held.clear()
            self.bytes = 0
        return count
