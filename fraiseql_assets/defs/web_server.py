"""`python -m fraiseql_assets.defs.web_server`: Dagster's web server behind a guard.

The arguments are those of `dagster-webserver`.
"""

from typing import Any

from dagster_webserver import cli

from fraiseql_assets.defs.web_guard import Guard, guarded
from fraiseql_assets.settings import get_settings


def put_behind_guard() -> None:
    """Makes Dagster's command serve its application behind the guard."""
    create = cli.create_app_from_workspace_process_context  # pyright: ignore[reportPrivateImportUsage]

    def create_guarded(*arguments: Any, **options: Any) -> Guard:
        return guarded(create(*arguments, **options), get_settings())

    cli.create_app_from_workspace_process_context = create_guarded  # pyright: ignore[reportPrivateImportUsage]


if __name__ == "__main__":
    put_behind_guard()
    cli.main()
