"""`fraiseql-assets dead-letters`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from fraiseql_assets.cli.console import err, out, read_settings, said_plainly

if TYPE_CHECKING:
    from fraiseql_assets.stream.letters import Letter

dead_letters = typer.Typer(
    help="Messages that could not be used: look at them, and replay them after a fix.",
    no_args_is_help=True,
)

Numbers = Annotated[
    list[int] | None, typer.Argument(help="Numbers of letters, as `list` shows them.")
]


@dead_letters.command("list")
def list_letters(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the dead letters, oldest first."""
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.letters import read_letters

    settings = read_settings()
    with said_plainly(LogError):
        found = list(read_letters(settings))
    if as_json:
        for letter in found:
            typer.echo(json.dumps(_facts(letter)))
        return
    if not found:
        err.print("no dead letters")
        return
    table = Table("number", "stage", "subject", "sequence", "stored", "reason")
    for letter in found:
        place = f"{letter.sequence}.{letter.row}" if letter.row else f"{letter.sequence}"
        table.add_row(
            f"{letter.number}",
            escape(letter.stage),
            escape(letter.subject),
            place,
            _moment(letter.time),
            escape(letter.reason),
        )
    out.print(table)


@dead_letters.command()
def show(
    number: Annotated[int, typer.Argument(help="The letter's number, as `list` shows it.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, the payload as text.")
    ] = False,
) -> None:
    """Show one dead letter: its reason, headers and payload."""
    from fraiseql_assets.events.messages import parse_headers
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.letters import read_letters, whole

    settings = read_settings()
    with said_plainly(LogError):
        [letter] = read_letters(settings, [number])
        message = whole(settings, letter)
    headers, payload = parse_headers(message.headers[0]), _as_text(message.payloads[0])
    if as_json:
        typer.echo(json.dumps({**_facts(letter), "headers": headers, "payload": payload}))
        return
    for name, value in _facts(letter).items():
        out.print(f"[bold]{name}[/bold]: {escape(str(value))}", soft_wrap=True)
    for name, value in headers.items():
        out.print(f"[bold]header {escape(name)}[/bold]: {escape(value)}", soft_wrap=True)
    out.print(f"[bold]payload[/bold], {len(message.payloads[0]):,} bytes:")
    out.print(escape(payload), soft_wrap=True)


@dead_letters.command()
def replay(
    numbers: Numbers = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay every letter.")] = False,
) -> None:
    """Replay letters after a fix: what was no event is published again, what a plane refused is
    written into that plane. Safe to repeat."""
    from fraiseql_assets.pipeline.replay import replay as replay_letters
    from fraiseql_assets.planes import PlaneError
    from fraiseql_assets.stream.connection import LogError
    from fraiseql_assets.stream.letters import read_letters

    if bool(numbers) == everything:
        err.print("[red]✗[/red] Name the letters to replay, or --all.")
        raise typer.Exit(2)
    settings = read_settings()
    with said_plainly(LogError, PlaneError):
        letters: Sequence[Letter] = list(read_letters(settings, None if everything else numbers))
        replayed = replay_letters(settings, letters)
    out.print(
        f"[green]✓[/green] {replayed.published:,} published again, "
        f"{replayed.written:,} written into their plane"
    )
    for reason in replayed.refused:
        err.print(f"[red]✗[/red] refused again: {escape(reason)}", soft_wrap=True)
    raise typer.Exit(1 if replayed.refused else 0)


def _facts(letter: "Letter") -> dict[str, Any]:
    return {
        "number": letter.number,
        "stage": letter.stage,
        "stream": letter.stream,
        "sequence": letter.sequence,
        "row": letter.row,
        "subject": letter.subject,
        "stored": _moment(letter.time),
        "filed": _moment(letter.filed),
        "reason": letter.reason,
    }


def _moment(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000 % 10**6:06}Z"


def _as_text(payload: bytes) -> str:
    """The payload as UTF-8; what is none stands as `\\x…`."""
    return payload.decode(errors="backslashreplace")
