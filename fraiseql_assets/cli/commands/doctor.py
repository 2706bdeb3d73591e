"""`fraiseql-assets doctor`."""

import typer

from fraiseql_assets.cli.console import escaped, exit_on, out, read_settings

MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "wrong": "[red]✗[/red]"}


def doctor() -> None:
    """Check every connection, version and setting, and say how to fix each problem.

    Exits with 1 if it finds a problem.
    """
    from fraiseql_assets.cli.doctor import examine

    settings = read_settings()
    wrong = 0
    with exit_on():
        for finding in examine(settings):
            wrong += finding.state == "wrong"
            line = f"{MARKS[finding.state]} [bold]{finding.what}[/bold]: {escaped(finding.said)}"
            out.print(line, soft_wrap=True)
    raise typer.Exit(1 if wrong else 0)
