"""What is fuzzed: a strategy for examples, and a check that none of them may fail."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from hypothesis.strategies import SearchStrategy

Check = Callable[[Any], None]
"""Sends an example; raises an AssertionError if the reply, or what it did, is wrong."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that clients can reach."""

    examples: SearchStrategy[Any]
    open: Callable[[], AbstractContextManager[Check]]
    """Starts the servers that the check needs."""
