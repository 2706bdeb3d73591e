"""Which statements gave few rows lately: all others may take only a part of the connections."""

import threading
from collections import OrderedDict

MANY_ROWS = 10_000
REMEMBERED = 10_000


class SmallResults:
    """Remembers statements by their text, whatever their values. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, sql: str) -> bool:
        """Whether the statement gave few rows when it last ran to its end."""
        return hash(sql) in self._known

    def note(self, sql: str, rows: int, *, whole: bool) -> None:
        """Takes in what a statement gave, which may be only a part of what it would have."""
        key = hash(sql)
        with self._lock:
            if rows >= MANY_ROWS:
                self._known.pop(key, None)
            elif whole:
                self._known[key] = None
                self._known.move_to_end(key)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
