"""Hits of a search as lines for a terminal."""

from typing import Any

import msgspec
from rich.text import Text

from fraiseql_assets.cli.console import printable

MARK, END_MARK = "<em>", "</em>"
KIND_STYLES = {"event": "cyan", "request": "magenta"}
DETAIL = 160
"""How many characters of the changes or variables a line shows."""


class _Change(msgspec.Struct):
    """The value of a field before and after an event."""

    old: Any
    new: Any


def counted(row: dict[str, Any]) -> Text:
    """A group of a search that counts, as a line."""
    return Text.assemble(
        f"{row['count']:>10,}  ",
        (f"{row['kind']:<8}", KIND_STYLES[row["kind"]]),
        _printable(row["key"]),
    )


def line_of(row: dict[str, Any]) -> Text:
    """A hit as a line of the timeline, followed by its variables, errors and highlights."""
    line = Text.assemble(
        (f"{row['timestamp']:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z", "dim"),
        "  ",
        (f"{row['kind']:<8}", KIND_STYLES[row["kind"]]),
    )
    line.append_text(_request(row) if row["kind"] == "request" else _event(row))
    if row["user_id"]:
        line.append(f"  by {_printable(row['user_id'])}", "dim")
    if row["tenant_id"]:
        line.append(f"  tenant {_printable(row['tenant_id'])}", "dim")
    line.append(f"  {_printable(row['id'])}", "dim")
    if row["variables"] not in (None, "{}", "null"):
        line.append(f"\n    variables {_short(row['variables'])}", "dim")
    fragments = {_plain(each): each for each in row["highlights"] or ()}
    for message in row["error_messages"] or ():
        line.append("\n    ✗ ", "red")
        shown = fragments.pop(message, None)
        if shown:
            line.append_text(_highlighted(_printable(shown), "red"))
        else:
            line.append(_printable(message), "red")
    for fragment in fragments.values():
        line.append("\n    … ")
        line.append_text(_highlighted(_printable(fragment)))
    return line


def _event(row: dict[str, Any]) -> Text:
    text = Text.assemble(
        (_printable(f"{row['entity_type']} {row['event_type']}"), "bold"),
        f" {_printable(row['entity_id'])}",
    )
    if row["changes"]:
        text.append(f"  {_short(_changed(row['changes']))}", "yellow")
    return text


def _changed(changes: str) -> str:
    """The changes, as `status new → paid`; changes of another shape are returned unchanged."""
    try:
        fields = msgspec.json.decode(changes, type=dict[str, _Change])
    except (msgspec.DecodeError, RecursionError):
        return changes
    return ", ".join(
        f"{name} {_value(change.old)} → {_value(change.new)}" for name, change in fields.items()
    )


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _short(text: str) -> str:
    text = _printable(text)
    return text if len(text) <= DETAIL else f"{text[:DETAIL]}…"


def _request(row: dict[str, Any]) -> Text:
    style = "bold red" if row["status"] == "error" else "bold"
    name = row["operation_name"] or row["operation_type"]
    text = Text.assemble(
        (_printable(f"{name} {row['status']}"), style), f" {_printable(row['transport'])}"
    )
    if row["error_codes"]:
        text.append(f" {_printable(' '.join(row['error_codes']))}", "red")
    if row["duration_ms"] is not None:
        text.append(f" {row['duration_ms']:.1f} ms")
    return text


def _plain(fragment: str) -> str:
    """A highlighted fragment without its marks."""
    return fragment.replace(MARK, "").replace(END_MARK, "")


def _highlighted(fragment: str, style: str = "") -> Text:
    text = Text(style=style)
    for number, part in enumerate(fragment.split(MARK)):
        marked, found, rest = part.partition(END_MARK)
        if number and found:
            text.append(marked, "bold yellow")
            text.append(rest)
        else:
            text.append(part)
    return text


def _printable(text: str) -> str:
    return printable(text, mark=" ")
