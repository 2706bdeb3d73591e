"""Knows statements with few rows. All others may use only a part of the connections."""

import threading
from collections import OrderedDict

MANY_ROWS = 10_000
MAX_STATEMENTS = 10_000


class SmallResults:
    """Statements whose results were small, by their text without values. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, None] = OrderedDict()

    def __contains__(self, sql: str) -> bool:
        """Whether the statement returned few rows when it was last read completely."""
        return hash(sql) in self._known

    def note(self, sql: str, rows: int, *, whole: bool) -> None:
        """Records how many rows of a statement were read, and whether these were all (`whole`)."""
        key = hash(sql)
        with self._lock:
            if rows >= MANY_ROWS:
                self._known.pop(key, None)
            elif whole:
                self._known[key] = None
                self._known.move_to_end(key)
                while len(self._known) > MAX_STATEMENTS:
                    self._known.popitem(last=False)
