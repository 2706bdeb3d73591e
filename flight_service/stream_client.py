"""One connection to the log for all concurrent users."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fraiseql_assets.stream.connection import LogError

Opened = TypeVar("Opened")


@dataclass(eq=False, slots=True)
class _Shared(Generic[Opened]):
    log: Future[Opened] = field(default_factory=Future)
    closing: ExitStack = field(default_factory=ExitStack)
    users: int = 0


class SharedLog(Generic[Opened]):
    """Opens a log for its first user, and closes it after the last. Thread-safe."""

    def __init__(self, make: Callable[[], AbstractContextManager[Opened]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._shared: _Shared[Opened] | None = None

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """The open log. Callers that wait for it to open get the same error.

        Raises:
            LogError: it cannot be opened.
        """
        with self._lock:
            is_first = self._shared is None
            shared = self._shared = self._shared or _Shared[Opened]()
            shared.users += 1
        try:
            if is_first:
                try:
                    shared.log.set_result(shared.closing.enter_context(self._make()))
                except BaseException as error:
                    shared.log.set_exception(error)
            yield shared.log.result()
        except LogError:
            # Its connection may be broken, so later users open another.
            self._abandon(shared)
            raise
        finally:
            if self._leave(shared):
                shared.closing.close()

    def _leave(self, shared: _Shared[Opened]) -> bool:
        """Whether it has no users and gets no new ones."""
        with self._lock:
            shared.users -= 1
            if not shared.users and self._shared is shared:
                self._shared = None
            return not shared.users

    def _abandon(self, shared: _Shared[Opened]) -> None:
        with self._lock:
            if self._shared is shared:
                self._shared = None
