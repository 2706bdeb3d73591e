"""The command line in the process of the tests, where that it is another one does not matter."""

from collections.abc import Mapping

from typer.testing import CliRunner, Result

from fraiseql_assets.cli.console import out
from fraiseql_assets.cli.main import app
from fraiseql_assets.settings import get_settings


def invoke(variables: Mapping[str, str], *arguments: str, stdin: str | None = None) -> Result:
    """Runs a command with settings from these environment variables."""
    get_settings.cache_clear()
    # A console reads COLUMNS when it is made, which may have been long ago in this process.
    width, out.width = out.width, int(variables.get("COLUMNS", out.width))
    try:
        return CliRunner().invoke(app, arguments, stdin, env=variables)
    finally:
        get_settings.cache_clear()
        out.width = width
