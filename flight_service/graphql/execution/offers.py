"""Stores large results that are offered in parts, until they are read or expire."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field

from flight_service.authentication import Principal
from flight_service.graphql.execution.session import Session
from flight_service.graphql.planning.plan import RootStatement, StatementPlan
from flight_service.graphql.sources.ctid_ranges import CtidRange

MOST = 1000
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """A held snapshot, and the plans of the parts."""

    transaction: ExitStack
    timer: threading.Timer
    snapshot: str
    plans: tuple[StatementPlan, ...]


@dataclass(eq=False)
class Offered:
    """A result that is offered in parts, and the principal that may read them."""

    root: RootStatement
    table: str
    principal: Principal
    session: Session
    compile_part: Callable[[CtidRange | None], StatementPlan]
    size: int
    """The approximate size in bytes."""
    ends: float
    unread: set[int]
    rows: dict[int, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: Held | None = None
    whole: int | None = None
    """The part that has all rows, if there was no snapshot for the parts."""


class Offers:
    """Offers by handle, limited in number and in bytes. Thread-safe.

    If there are too many, the oldest offer of the reader with the most bytes is dropped. Offers
    with a snapshot are kept: they are few, and their timers release them.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._offered: dict[str, Offered] = {}

    def put(self, handle: str, offered: Offered) -> None:
        with self._lock:
            self._offered[handle] = offered
            now = time.monotonic()
            waiting = {key: one for key, one in self._offered.items() if one.held is None}
            for key in [key for key, one in waiting.items() if one.ends < now]:
                del self._offered[key], waiting[key]
            sizes: Counter[Hashable] = Counter()
            for one in waiting.values():
                sizes[one.session.reader] += one.size
            while len(waiting) > MOST or sizes.total() > self._most_bytes:
                [(reader, _)] = sizes.most_common(1)
                oldest = next(key for key, one in waiting.items() if one.session.reader == reader)
                sizes[reader] -= waiting.pop(oldest).size
                del self._offered[oldest]

    def get(self, handle: str) -> Offered | None:
        """The offer, unless it has expired."""
        with self._lock:
            found = self._offered.get(handle)
        return None if found is None or found.ends < time.monotonic() else found

    def hold(self, handle: str, held: Held) -> bool:
        """Records the snapshot of an offer. Returns whether the offer still exists."""
        with self._lock:
            found = self._offered.get(handle)
            if found is not None:
                found.held = held
            return found is not None

    def take(self, handle: str) -> Offered | None:
        """Removes and returns the offer."""
        with self._lock:
            return self._offered.pop(handle, None)

    def has_read(self, offered: Offered, number: int) -> bool:
        """Records that a part was read. Returns whether all parts were read."""
        with self._lock:
            offered.unread.discard(number)
            return not offered.unread

    @property
    def handles(self) -> list[str]:
        with self._lock:
            return list(self._offered)
