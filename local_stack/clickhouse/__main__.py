"""`python -m local_stack.clickhouse`: the chDB engine behind ClickHouse's HTTP interface."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer
from cheroot.wsgi import Server

from local_stack.folder import FolderInUse, hold_folder

PASSWORD_VARIABLE = "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD"
IN_USE, PORT_TAKEN = 3, 4

THREADS = 16
IDLE_SECONDS = 30


def serve(
    data_dir: Annotated[Path, typer.Option(help="The folder that holds the tables.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8123,
    user: Annotated[str, typer.Option(help="The one user there is.")] = "default",
) -> None:
    """Serve ClickHouse's HTTP interface over the chDB engine, until SIGTERM or Ctrl-C.

    The user's password is taken from FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD; without it there is none.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with hold_folder(data_dir):
            _serve(data_dir, host, port, user)
    except FolderInUse as error:
        typer.echo(f"ClickHouse: {error}", err=True)
        raise typer.Exit(IN_USE) from error


def _serve(data_dir: Path, host: str, port: int, user: str) -> None:
    # The engine takes a third of a second to load, which --help need not wait for.
    from local_stack.clickhouse.app import Application, Credentials
    from local_stack.clickhouse.engine import Engine

    engine = Engine(data_dir / "store")
    credentials = Credentials(user, os.environ.get(PASSWORD_VARIABLE, ""))
    server = Server(
        (host, port),
        Application(engine, credentials),
        numthreads=THREADS,
        max=-1,
        timeout=IDLE_SECONDS,
        request_queue_size=128,
    )
    try:
        server.prepare()
    except OSError as error:
        typer.echo(
            f"ClickHouse: cannot listen on {host}:{port}: {error}. Choose another with --port.",
            err=True,
        )
        raise typer.Exit(PORT_TAKEN) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        server.serve()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        engine.close()


if __name__ == "__main__":
    typer.run(serve)
