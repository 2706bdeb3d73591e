"""`fraiseql-assets dead-letters`."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fraiseql_assets.cli.console import (
    LINE_BREAK,
    echo,
    err,
    exit_on,
    out,
    printable,
    read_settings,
)

if TYPE_CHECKING:
    from fraiseql_assets.stream.dead_letter_reader import DeadLetter

dead_letters = typer.Typer(
    help="List, show and replay messages that could not be processed.",
    no_args_is_help=True,
)

Numbers = Annotated[list[int] | None, typer.Argument(help="The numbers that `list` shows.")]


@dead_letters.command("list")
def list_dead_letters(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the dead-letter messages, oldest first."""
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.dead_letter_reader import read_dead_letters

    settings = read_settings()
    with exit_on(LogError):
        found = list(read_dead_letters(settings))
    if as_json:
        for dead_letter in found:
            echo(json.dumps(_facts(dead_letter)))
        return
    if not found:
        err.print("no dead-letter messages")
        return
    table = Table("number", "stage", "subject", "sequence", "stored", "reason")
    for dead_letter in found:
        row = f".{dead_letter.row}" if dead_letter.row else ""
        table.add_row(
            f"{dead_letter.number}",
            _cleaned(dead_letter.stage),
            _cleaned(dead_letter.subject),
            f"{dead_letter.sequence}{row}",
            _moment(dead_letter.time),
            _cleaned(dead_letter.reason),
        )
    out.print(table)


@dead_letters.command()
def show(
    number: Annotated[int, typer.Argument(help="The number that `list` shows.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, the payload as text.")
    ] = False,
) -> None:
    """Show one dead-letter message: its reason, headers and payload."""
    from fraiseql_assets.events.messages import parse_headers
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.dead_letter_reader import original_message, read_dead_letters

    settings = read_settings()
    with exit_on(LogError):
        [dead_letter] = read_dead_letters(settings, [number])
        message = original_message(settings, dead_letter)
    headers, payload = parse_headers(message.headers[0]), _as_text(message.payloads[0])
    if as_json:
        echo(json.dumps({**_facts(dead_letter), "headers": headers, "payload": payload}))
        return
    for name, value in _facts(dead_letter).items():
        out.print(f"[bold]{name}[/bold]: {_cleaned(str(value))}", soft_wrap=True)
    for name, value in headers.items():
        out.print(f"[bold]header {_cleaned(name)}[/bold]: {_cleaned(value)}", soft_wrap=True)
    out.print(f"[bold]payload[/bold], {len(message.payloads[0]):,} bytes:")
    out.print(_cleaned(payload, keep=f"{LINE_BREAK}\t"), soft_wrap=True)


@dead_letters.command()
def replay(
    numbers: Numbers = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Replay all dead-letter messages.")
    ] = False,
) -> None:
    """Replay dead-letter messages after a fix.

    Messages that could not be decoded are published again. Events that a plane refused are written
    into that plane. Safe to repeat.
    """
    from fraiseql_assets.pipeline.dead_letter_replay import replay as replay_dead_letters
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.dead_letter_reader import read_dead_letters

    if bool(numbers) == everything:
        err.print("[red]✗[/red] Name the messages to replay, or --all.")
        raise typer.Exit(2)
    settings = read_settings()
    with exit_on(LogError, PlaneError):
        chosen = list(read_dead_letters(settings, None if everything else numbers))
        replayed = replay_dead_letters(settings, chosen)
    out.print(
        f"[green]✓[/green] {replayed.published:,} published again, "
        f"{replayed.written:,} written into their plane"
    )
    for failure in replayed.failures:
        err.print(
            f"[red]✗[/red] {failure.number} failed: {_cleaned(failure.reason)}", soft_wrap=True
        )
    raise typer.Exit(1 if replayed.failures else 0)


def _facts(dead_letter: "DeadLetter") -> dict[str, Any]:
    return {
        "number": dead_letter.number,
        "stage": dead_letter.stage,
        "stream": dead_letter.stream,
        "sequence": dead_letter.sequence,
        "row": dead_letter.row,
        "subject": dead_letter.subject,
        "stored": _moment(dead_letter.time),
        "dead_lettered": _moment(dead_letter.stored),
        "reason": dead_letter.reason,
    }


def _moment(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000 % 10**6:06}Z"


def _as_text(payload: bytes) -> str:
    """The payload as UTF-8; invalid bytes are shown as `\\x…`."""
    return payload.decode(errors="backslashreplace")


def _cleaned(text: str, keep: str = "") -> str:
    """Text from a producer, made safe for a terminal and for Rich."""
    return escape(printable(text, keep=keep))
