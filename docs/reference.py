"""Generates `reference.md` from what the service and the command line define:
`python docs/reference.py`."""

import re
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import typer
from starlette.routing import Route

from flight_service.graphql.transport.flight import GraphQLPart
from flight_service.http import application
from flight_service.monitoring.calls import Observer
from flight_service.monitoring.exposition import watched
from flight_service.monitoring.readiness import Readiness
from flight_service.registry import Registry, registry
from flight_service.sql.commands import SqlCommand
from flight_service.tickets import Ticket
from fraiseql_assets.cli.main import app
from fraiseql_assets.settings import Settings

PAGE = Path(__file__).with_suffix(".md")
SCHEMA = Path(__file__).parents[1] / "local_stack" / "demo" / "schema.compiled.json"

INTRODUCTION = """\
# Reference

Every ticket, action, HTTP route and command. This page is generated from the code; the pages that
it links explain how to use each. [Settings](settings.md) has every environment variable.
"""

INTERNAL = (GraphQLPart, SqlCommand)
"""Tickets that the service itself makes: clients pass them on."""

ROUTES = {
    "/health": ("GET", "that the service runs, and its version; needs no token", "monitoring.md"),
    "/ready": ("GET", "which servers answer; 503 while it is not ready", "monitoring.md"),
    "/metrics": ("GET", "metrics, as Prometheus reads them", "monitoring.md"),
    "/graphql": ("GET, POST", "a GraphQL request: JSON, or Arrow by `Accept`", "graphql.md"),
    "/search": ("GET", "search: JSON, or Arrow by `format` or `Accept`", "search.md"),
    "/assets": ("GET", "the list of assets", "flight.md"),
    "/assets/{key:path}": ("GET", "the rows of an asset, in any format", "flight.md"),
    "/query": ("GET, POST", "the rows of any flight, in any format", "flight.md"),
}
"""The methods of each route, what it answers, and the page that explains it. A route that is
missing here is an error."""


def page() -> str:
    """The text of the page."""
    settings = Settings(schema_path=SCHEMA)
    served = registry(settings)
    parts = (_tickets(served), _actions(served), _routes(served, settings), _commands())
    return INTRODUCTION + "".join(f"\n{line}\n" for part in parts for line in part)


def _tickets(served: Registry) -> Iterator[str]:
    yield "## Tickets"
    yield (
        "A ticket is a JSON object whose `type` is one of these names ([Flight](flight.md#tickets)"
        ", [GraphQL](graphql.md), [search](search.md)). Optional fields may be null."
    )
    for kind in served.resolvers:
        if kind in INTERNAL:
            continue
        yield f"### {kind.__name__}"
        yield _first_paragraph(kind.__doc__)
        yield _table(("field", "value", ""), _fields(kind))


def _fields(kind: type[Ticket]) -> Iterator[tuple[str, str, str]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        needed = "required" if field.required else ""
        yield f"`{field.encode_name}`", _type(hints[field.name]), needed


def _type(hint: Any) -> str:
    """A type, as somebody reads it who writes JSON."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{msgspec.json.encode(value).decode()}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments if part is not type(None))
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "object"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f'`"{member.value}"`' for member in hint)
    names = {"str": "text", "int": "whole number", "bool": "true or false", "date": "date"}
    return names.get(getattr(hint, "__name__", ""), str(hint))


def _actions(served: Registry) -> Iterator[str]:
    yield "## Actions"
    yield (
        "Their body and answer are JSON objects; those of [Flight SQL](flight-sql.md) are its "
        "messages."
    )
    listed = [(action.name, action.description) for action in served.actions]
    if served.sql is not None:
        listed += [(action.type, action.description) for action in served.sql.listed]
    yield _table(("action", "answer"), ((f"`{name}`", text) for name, text in listed))


def _routes(served: Registry, settings: Settings) -> Iterator[str]:
    yield "## HTTP routes"
    made = application(served.routes, settings)
    observer = Observer()
    watched(made, settings, observer, Readiness(served.probes, wait_seconds=1))
    rows = []
    for route in made.routes:
        assert isinstance(route, Route)
        methods, text, link = ROUTES[route.path]
        path = route.path.replace("{key:path}", "{asset}")
        rows.append((f"`{path}`", methods, text, f"[{Path(link).stem}]({link})"))
    yield _table(("path", "methods", "answer", "page"), rows)


def _commands() -> Iterator[str]:
    yield "## Commands"
    group = typer.main.get_command(app)
    yield from _command(group, ("fraiseql-assets",))


def _command(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _command(inner, (*path, name))
        return
    yield f"### {' '.join(path[1:])}"
    yield _first_paragraph(command.help)
    usage = [f"[{_metavar(p)}]" if not p.required else _metavar(p)
             for p in command.params if p.param_type_name == "argument"]  # fmt: skip
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    line = " ".join([*path, *usage, *(["[OPTIONS]"] if options else [])])
    yield f"```text\n{line}\n```"
    if options:
        yield _table(("option", "default", "meaning"), map(_option, options))


def _option(option: Any) -> tuple[str, str, str]:
    name = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
    text, kind = option.help or "", option.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        text += f" One of {', '.join(f'`{member.value}`' for member in kind)}."
    is_unset = option.is_flag or option.default in (None, ())
    default = "" if is_unset else f"`{_plain(option.default)}`"
    return name, "required" if option.required else default, text.strip()


def _metavar(parameter: Any) -> str:
    return (parameter.metavar or parameter.name).upper()


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))


def _first_paragraph(text: str | None) -> str:
    paragraph = (text or "").strip().split("\n\n")[0]
    return re.sub(r"\s+", " ", paragraph)


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    escaped = ([cell.replace("|", "&#124;") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    PAGE.write_text(page())
