"""What was used last, bounded in number."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The values that were kept last, by their ids. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Value] = OrderedDict()

    def put(self, key: str, value: Value) -> None:
        """Keeps a value, and lets go of the oldest where there are too many."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)

    def get(self, key: str) -> Value | None:
        """The value, which counts as new again."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def take(self, key: str) -> Value | None:
        """The value, which is kept no more."""
        with self._lock:
            return self._held.pop(key, None)
