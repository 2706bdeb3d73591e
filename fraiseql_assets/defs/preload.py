"""Imported by the fork server of runs: everything that a run needs, in memory that runs share.

A fork shares the memory of its parent until one of them writes to it. The garbage collector writes
to every object that it looks at, so what is here is taken out of its sight.
"""

import gc
from contextlib import suppress
from importlib import import_module

from fraiseql_assets.skip_imports import skip_async_clients, skip_pandas

MODULES = [
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.workspace.context",
    "dagster._daemon",
    "dagster._grpc.impl",
    "upath",
    "fraiseql_assets.defs.definitions",
    "fraiseql_assets.pipeline.follow",
    "fraiseql_assets.pipeline.rebuild",
    "fraiseql_assets.pipeline.verify",
    "fraiseql_assets.stream.log",
    "fraiseql_assets.analytics.plane",
    "fraiseql_assets.operational.plane",
]
"""The modules that a run imports; missing ones are skipped. None may open a connection or start a
thread when imported, because a fork does not inherit them."""

skip_pandas()
skip_async_clients()
for module in MODULES:
    with suppress(ImportError):
        import_module(module)
gc.collect()
gc.freeze()
