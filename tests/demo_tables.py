"""TPC-H's tables, generated once in a process: that takes two seconds at any scale."""

from functools import cache

import pyarrow as pa

from local_stack.demo.tpch import make_tables


@cache
def tables_of(scale: float) -> dict[str, pa.Table]:
    """The eight tables of a scale, by name."""
    return make_tables(scale)
