"""What the commands share: where they print, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console

from fraiseql_assets.settings import Settings, get_settings, problems_of

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def read_settings() -> Settings:
    """The settings; a variable that does not fit ends the command with a line for each."""
    try:
        return get_settings()
    except ValidationError as error:
        for problem in problems_of(error):
            err.print(f"[red]✗[/red] {problem}", soft_wrap=True)
        raise typer.Exit(2) from error


@contextmanager
def said_plainly(*errors: type[Exception]) -> Iterator[None]:
    """Ends the command with an error's own sentence instead of a traceback."""
    try:
        yield
    except errors as error:
        err.print(f"[red]✗[/red] {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        err.print("stopped")
        raise typer.Exit(130) from error
