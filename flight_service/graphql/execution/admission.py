"""Which statements gave many rows lately, so that such ones do not take every connection."""

import threading
from collections import OrderedDict

MANY_ROWS = 10_000
REMEMBERED = 1000


class LargeResults:
    """Remembers statements by their text, whatever their values. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, sql: str) -> bool:
        """Whether the statement gave many rows when it last ran."""
        return sql in self._known

    def note(self, sql: str, rows: int, *, whole: bool) -> None:
        """Takes in what a statement gave, which may be only a part of what it would have."""
        with self._lock:
            if rows >= MANY_ROWS:
                self._known[sql] = None
                self._known.move_to_end(sql)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            elif whole:
                self._known.pop(sql, None)
