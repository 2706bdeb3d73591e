"""Keeps pyarrow from importing pandas for itself.

To make its first array pyarrow imports pandas if it is installed, as it is beside chDB. That costs
a process 50 MB and a quarter of a second, for objects of pandas that our own processes never make.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _NoPandas:
    """A finder that has no pandas."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
        return None


def skip_pandas() -> None:
    """Has pyarrow look for pandas now, and find none. It looks once: call this before the process
    makes an array. `to_pandas` and `import pandas` work afterwards as before."""
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
