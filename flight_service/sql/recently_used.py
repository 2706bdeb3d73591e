"""A cache of recently used values, limited in number and in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")

MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    owner: Hashable


class RecentlyUsed(Generic[Value]):
    """The most recently used values, by id. Thread-safe.

    If there are too many, the oldest value of the owner with the most bytes is dropped, so that one
    owner cannot displace the values of others.
    """

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._lock = threading.Lock()
        self._held: dict[str, _Entry[Value]] = {}
        self._owned: dict[Hashable, OrderedDict[str, None]] = {}
        self._bytes: dict[Hashable, int] = {}

    @property
    def bytes(self) -> int:
        """The approximate size of the values in bytes."""
        return sum(self._bytes.values())

    def put(self, key: str, value: Value, *, size: int = 1, owner: Hashable = None) -> None:
        """Stores a value of about `size` bytes, unless it is larger than the cache."""
        with self._lock:
            self._remove(key)
            if size > self._most_bytes:
                return
            self._held[key] = _Entry(value, size, owner)
            self._owned.setdefault(owner, OrderedDict())[key] = None
            self._bytes[owner] = self._bytes.get(owner, 0) + size
            while len(self._held) > self._most or self.bytes > self._most_bytes:
                largest = max(self._bytes, key=lambda one: self._bytes[one])
                self._remove(next(iter(self._owned[largest])))

    def get(self, key: str) -> Value | None:
        """The value, which becomes the most recent one."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._owned[found.owner].move_to_end(key)
            return found.value

    def take(self, key: str) -> Value | None:
        """Removes and returns the value."""
        with self._lock:
            found = self._remove(key)
            return None if found is None else found.value

    def _remove(self, key: str) -> _Entry[Value] | None:
        found = self._held.pop(key, None)
        if found is not None:
            del self._owned[found.owner][key]
            self._bytes[found.owner] -= found.size
            if not self._owned[found.owner]:
                del self._owned[found.owner], self._bytes[found.owner]
        return found
