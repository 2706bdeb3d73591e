"""How the tests are divided between the workers of a `make` target: by file, and the files that
share the whole stack as one, so that only one worker starts it."""

from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

ON_THE_STACK = (
    "test_documentation.py",  # Of `make test-docs`.
    "test_failed_request.py",
    "test_pipeline.py",
    "test_stack.py",  # Its last test ends the stack.
    "test_running_stack.py",  # Of `make test-faults`. Its last test kills the stack.
)
"""The files whose tests use the session's stack, in the order in which they run. What starts it
runs longest; the last file of a session ends it, since it works as long as it runs."""


class ByStack(LoadFileScheduling):
    """By file, with the files of the stack together."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """The name of what is given to a worker as a whole."""
    path, *_ = nodeid.split("::", 1)
    return "the stack" if Path(path).name in ON_THE_STACK else path


def rank(path: Path) -> tuple[int, int]:
    """Where the tests of a file stand in the order in which the workers take them.

    What takes longest comes first: the tests on the stack, whose last one ends it, since it works
    as long as it runs. The files of the unit tests are short and come last, so that all workers end
    together.
    """
    if path.name in ON_THE_STACK:
        return 0, ON_THE_STACK.index(path.name)
    return (2 if path.parent.name == "unit" else 1), 0


def sort_by_rank(items: list[pytest.Item]) -> None:
    """Sorts in place; tests of one file keep their order."""
    items.sort(key=lambda item: rank(item.path))
