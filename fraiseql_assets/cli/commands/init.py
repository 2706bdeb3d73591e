"""`fraiseql-assets init`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fraiseql_assets.cli.console import exit_on, out


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("."),
    schema: Annotated[
        Path | None,
        typer.Option(help="The compiled schema; unset, the only schema.compiled.json nearby."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(help="The database's address; unset, that of DATABASE_URL or fraiseql.toml."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The project's name; unset, the folder's.")
    ] = None,
    kubernetes: Annotated[
        bool,
        typer.Option("--kubernetes", help="For Helm instead of Compose."),
    ] = False,
) -> None:
    """Write a project for an existing FraiseQL database: settings, servers, assets to extend.

    Overwrites nothing.
    """
    from fraiseql_assets.project.discover import ProjectError, find_database, find_schema
    from fraiseql_assets.project.write import Project, write_project

    with exit_on(ProjectError):
        found = find_schema(schema, (Path.cwd(), folder))
        address = find_database(database, found)
        project = Project(
            folder=folder,
            name=name or folder.resolve().name,
            schema=found.resolve() if found else None,
            database_url=address,
            kubernetes=kubernetes,
        )
        written = write_project(project)
    for path in written:
        out.print(f"[green]✓[/green] {escape(str(path))}", soft_wrap=True)
    for what, value, variable in (
        ("compiled schema", found, "FRAISEQL_SCHEMA"),
        ("database", address, "FRAISEQL_DATABASE_URL"),
    ):
        if value is None:
            out.print(f"[yellow]![/yellow] No {what} was found: fill in {variable} in .env.")
    out.print(f"Next: {escape(str(folder / 'README.md'))}", soft_wrap=True)
