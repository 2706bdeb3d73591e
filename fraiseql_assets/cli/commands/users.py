"""`fraiseql-assets users`: who may log in to the Flight service with a password."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from fraiseql_assets.cli.console import err, exit_on, out, printable, read_settings
from fraiseql_assets.settings import variable

if TYPE_CHECKING:
    from flight_service.identity.users import User

SHORTEST = 8
"""Characters of a password."""

users = typer.Typer(
    help="Who may log in to the Flight service with a password: add, list and remove.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="The name that the user logs in with.")]
File = Annotated[
    Path | None, typer.Option("--file", help="The users file; FRAISEQL_USERS_FILE by default.")
]


class UserProblem(Exception):
    """What was given does not fit; the message says what would."""


@users.command()
def add(
    name: Name,
    file: File = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant whose rows it reads.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; repeat it for several.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="A scope; repeat it for several.")] = None,
    password_stdin: Annotated[
        bool, typer.Option(help="Read the password from the first line of standard input.")
    ] = False,
) -> None:
    """Add a user, or replace one. Asks for the password."""
    from flight_service.identity.passwords import hashed
    from flight_service.identity.users import User, UsersError, write_users

    with exit_on(UsersError, UserProblem):
        path = _path(file)
        if not name or ":" in name or not name.isprintable():
            raise UserProblem("A user's name has one character or more, none of them a colon.")
        found = _read(path)
        password = _password(from_stdin=password_stdin)
        user = User(hashed(password), tenant, tuple(role or ()), tuple(scope or ()))
        write_users(path, {**found, name: user})
    err.print(f"{'replaced' if name in found else 'added'} {escape(name)} in {escape(str(path))}")


@users.command("list")
def list_users(file: File = None) -> None:
    """List the users, without their passwords."""
    from flight_service.identity.users import UsersError

    with exit_on(UsersError, UserProblem):
        found = _read(_path(file))
    table = Table("user", "tenant", "roles", "scopes")
    for name, user in found.items():
        row = (name, user.tenant_id or "", " ".join(user.roles), " ".join(user.scopes))
        table.add_row(*(escape(printable(text)) for text in row))
    out.print(table)


@users.command()
def remove(name: Name, file: File = None) -> None:
    """Remove a user. Sessions that it has end when they expire."""
    from flight_service.identity.users import UsersError, write_users

    with exit_on(UsersError, UserProblem):
        path = _path(file)
        found = _read(path)
        if name not in found:
            raise UserProblem(f"There is no user {name!r} in {path}.")
        write_users(path, {key: user for key, user in found.items() if key != name})
    err.print(f"removed {escape(name)} from {escape(str(path))}")


def _path(file: Path | None) -> Path:
    path = file or read_settings().users_file
    if path is None:
        raise UserProblem(f"Say which file with --file, or set {variable('users_file')}.")
    return path


def _read(path: Path) -> "dict[str, User]":
    from flight_service.identity.users import read_users

    return read_users(path) if path.exists() else {}


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    if len(password) < SHORTEST:
        raise UserProblem(f"A password has {SHORTEST} characters or more.")
    return password
