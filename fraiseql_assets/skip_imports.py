"""Keeps libraries from importing others that they would use for what no process of ours does.

To make its first array pyarrow imports pandas if it is installed, as it is beside chDB. That costs
a process 50 MB and a quarter of a second, for objects of pandas that our own processes never make.
numpy, which pyarrow imports with itself, takes three quarters of the time of that import.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Without:
    """A finder that lacks a package."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@contextmanager
def _without(package: str) -> Iterator[None]:
    """A block in which the package cannot be imported."""
    finder = _Without(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def skip_pandas() -> None:
    """Has pyarrow look for pandas now, and find none. It looks once: call this before the process
    makes an array. `to_pandas` and `import pandas` work afterwards as before."""
    import pyarrow as pa

    with _without("pandas"):
        pa.array([0])


def skip_numpy() -> None:
    """Imports pyarrow without numpy, unless the process has imported it before. `import numpy`
    works afterwards as before, but pyarrow neither takes nor makes arrays of numpy: call this only
    in a process that needs none."""
    with _without("numpy"):
        import pyarrow as pa  # noqa: F401 (kept for later imports)


def skip_async_clients() -> None:
    """Imports the clients of NATS and Elasticsearch without aiohttp and httpx, unless the process
    has imported them before. The clients import them for websockets and asynchronous requests,
    which nothing here uses, and that takes a third of a second. `import httpx` works afterwards as
    before."""
    with _without("aiohttp"), _without("httpx"):
        import elastic_transport  # noqa: F401 (kept for later imports)
        import nats  # noqa: F401
