"""`fraiseql-assets setup`."""

from fraiseql_assets.cli.console import exit_on, out, read_settings


def setup() -> None:
    """Create or migrate the streams, tables and index templates. Safe to repeat."""
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.setup import setup_all
    from fraiseql_assets.stream.connection import LogError

    settings = read_settings()
    with exit_on(PlaneError, LogError), out.status("Setting up…"):
        done = setup_all(settings)
    for line in done:
        out.print(f"[green]✓[/green] {line}", soft_wrap=True)
