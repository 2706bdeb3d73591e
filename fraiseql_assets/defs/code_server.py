"""`python -m fraiseql_assets.defs.code_server`: Dagster's code server, with a fast start of runs.

Dagster starts each run in a new interpreter, which spends seconds on imports before the first row.
This server forks each run from a process that has already imported everything: the fork server of
the standard library. The arguments are those of `dagster api grpc`.
"""

import multiprocessing
import os
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from fraiseql_assets.defs.kept_instance import keep_instances
from fraiseql_assets.defs.warm_start import WarmContext
from fraiseql_assets.settings import get_settings, variable
from fraiseql_assets.skip_imports import skip_async_clients, skip_pandas

PRELOADED = ["fraiseql_assets.defs.preload"]


def start_runs_warm() -> None:
    """Makes Dagster's `spawn` of runs use processes of the fork server."""
    warm = WarmContext()
    warm.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()
    by_name = multiprocessing.get_context

    def get_context(method: str | None = None) -> BaseContext:
        return warm if method == "spawn" else by_name(method)

    multiprocessing.get_context = get_context


def find_partitions() -> None:
    """Sets the first partition to the oldest day in log and planes, unless a setting defines it.

    Every run inherits the variable, so that no run queries the servers again.
    """
    if get_settings().first_day is None:
        from fraiseql_assets.pipeline.first_day import find_first_day

        os.environ[variable("first_day")] = str(find_first_day(get_settings()))
        get_settings.cache_clear()


def main() -> None:
    from dagster._cli import main as dagster

    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    dagster()


if __name__ == "__main__":
    skip_pandas()
    skip_async_clients()
    find_partitions()
    start_runs_warm()
    keep_instances()
    main()
