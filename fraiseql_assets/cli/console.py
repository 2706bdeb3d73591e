"""Shared by all commands: the consoles they print to, and how errors are reported."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from fraiseql_assets.settings import Settings, get_settings, problems_of

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

LINE_BREAK = "\n"


def printable(text: str, *, keep: str = "", mark: str = "�") -> str:
    """Replaces every character that would break a line or control a terminal by `mark`, except
    those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else mark for c in text)


def escaped(text: str) -> str:
    """Text of others for `out` and `err`: as it is printed, without control of the terminal."""
    return escape(printable(text, keep=LINE_BREAK))


def echo(text: str) -> None:
    """Prints text of others; on a terminal, without the characters that control it."""
    typer.echo(printable(text, keep=f"{LINE_BREAK}\t") if sys.stdout.isatty() else text)


def read_settings() -> Settings:
    """Returns the settings. Invalid variables end the command, with one line printed for each."""
    try:
        return get_settings()
    except ValidationError as error:
        for problem in problems_of(error):
            err.print(f"[red]✗[/red] {problem}", soft_wrap=True)
        raise typer.Exit(2) from error


@contextmanager
def exit_on(*errors: type[Exception]) -> Iterator[None]:
    """Ends the command with the message of an error instead of a traceback."""
    try:
        yield
    except errors as error:
        err.print(f"[red]✗[/red] {escaped(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        err.print("stopped")
        raise typer.Exit(130) from error
