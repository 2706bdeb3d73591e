"""Questions to servers that callers share: each is asked once for all who wait for its answer."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Questions(Generic[Answer]):
    """Asks questions, each key at most once at a time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[Hashable, Future[Answer]] = {}

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> Answer:
        """The answer to a question that was asked after this call began, by this thread or another.

        An older question is waited for, but its answer is not used: it may not have seen what the
        caller has just written.

        Raises:
            Exception: whatever the question raises, to all who wait for it.
        """
        with self._lock:
            older = self._asked.get(key)
        if older is not None:
            wait([older])
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or asked is older:
                asked = mine = self._asked[key] = Future()
            else:
                mine = None
        if mine is not None:
            self._answer(key, mine, question)
        return asked.result()

    def _answer(self, key: Hashable, asked: Future[Answer], question: Callable[[], Answer]) -> None:
        try:
            answer = question()
        except BaseException as error:
            self._remove(key, asked)
            asked.set_exception(error)
        else:
            self._remove(key, asked)
            asked.set_result(answer)

    def _remove(self, key: Hashable, asked: Future[Answer]) -> None:
        with self._lock:
            if self._asked.get(key) is asked:
                del self._asked[key]
