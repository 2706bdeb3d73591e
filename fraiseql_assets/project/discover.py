"""What can be found out about an application without asking: its compiled schema and database."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

COMPILED = "schema.compiled.json"
PROJECT = "fraiseql.toml"
DEPTH = 3
"""How many folders below the current one are searched."""
PASSED_OVER = frozenset(("node_modules", "target", "dist", "build", "site-packages"))
VARIABLES = ("FRAISEQL_DATABASE_URL", "DATABASE_URL")


class ProjectError(Exception):
    """A project cannot be written; the message says what to do."""


def find_schema(given: Path | None, folders: tuple[Path, ...]) -> Path | None:
    """The compiled schema: the given one, the setting's, or the only one near the folders.

    Raises:
        ProjectError: there are several, or the file is no compiled schema.
    """
    named = given or os.environ.get("FRAISEQL_SCHEMA")
    if named:
        return _checked(Path(named))
    found = sorted({path.resolve() for folder in folders for path in _search(folder, DEPTH)})
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise ProjectError(f"there are several compiled schemas: {listed}. Name one with --schema.")
    return _checked(found[0]) if found else None


def find_database(given: str | None, schema: Path | None) -> str | None:
    """The address of the database: the given one, an environment variable's, or that in the
    `fraiseql.toml` beside the schema or above it."""
    addresses = [given, *(os.environ.get(name) for name in VARIABLES)]
    if schema is not None:
        parents = [schema.resolve().parent, *schema.resolve().parents[1:3]]
        addresses += [_of_toml(parent / PROJECT) for parent in parents]
    return next((address for address in addresses if address), None)


def _search(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name == COMPILED and entry.is_file():
            yield entry
        elif depth and _is_searched(entry):
            yield from _search(entry, depth - 1)


def _is_searched(entry: Path) -> bool:
    is_hidden = entry.name in PASSED_OVER or entry.name.startswith(".")
    return entry.is_dir() and not entry.is_symlink() and not is_hidden


def _checked(path: Path) -> Path:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} cannot be read as a compiled schema: {error}") from error
    if not isinstance(document, Mapping) or "queries" not in document:
        raise ProjectError(
            f"{path} is no compiled schema: it has no queries. FRAISEQL_SCHEMA and --schema name "
            f"what FraiseQL's compiler writes, {COMPILED}."
        )
    return path


def _of_toml(path: Path) -> str | None:
    """The address in a `fraiseql.toml`, with environment variables in it filled in."""
    try:
        database = tomllib.loads(path.read_text()).get("database")
    except (OSError, ValueError):
        return None
    url = database.get("url") if isinstance(database, dict) else None
    if not isinstance(url, str):
        return None
    filled = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), url)
    return filled or None
