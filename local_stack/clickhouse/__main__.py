"""`python -m local_stack.clickhouse`: the chDB engine behind ClickHouse's HTTP interface."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from local_stack.folder import FolderInUse, hold_folder

PASSWORD_VARIABLE = "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD"
IN_USE, PORT_TAKEN, NO_FOLDER = 3, 4, 5
SECONDS_TO_END = 3.0


def serve(
    data_dir: Annotated[Path, typer.Option(help="The folder that holds the tables.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8123,
    user: Annotated[str, typer.Option(help="The one user there is.")] = "default",
) -> None:
    """Serve ClickHouse's HTTP interface over the chDB engine, until SIGTERM or Ctrl-C.

    The user's password is taken from FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD; without it there is none.
    """
    # Whoever signals early is heard all the same: the server looks once it is up.
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    if "?" in str(data_dir.resolve()):
        # To the engine a path is an address, which would end there, in another folder.
        _refuse(f"cannot use the data folder {data_dir}: its path has a '?' in it", NO_FOLDER)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with hold_folder(data_dir):
            _serve(data_dir.resolve() / "store", host, port, user, asked_to_end)
    except FolderInUse as error:
        _refuse(str(error), IN_USE)
    except OSError as error:
        _refuse(f"cannot use the data folder {data_dir}: {error}", NO_FOLDER)


def _serve(store: Path, host: str, port: int, user: str, asked_to_end: threading.Event) -> None:
    # A ClickHouse server in a container keeps UTC; the engine reads this when it is loaded, which
    # takes a third of a second that --help need not wait for.
    os.environ["TZ"] = "UTC"
    from local_stack.clickhouse.engine import Engine
    from local_stack.clickhouse.front import Front
    from local_stack.clickhouse.request import Credentials
    from local_stack.clickhouse.server import HttpServer

    engine = Engine(store)
    front = Front(engine, Credentials(user, os.environ.get(PASSWORD_VARIABLE, "")))
    try:
        server = HttpServer((host, port), front)
    except OSError as error:
        engine.close()
        _refuse(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.",
            PORT_TAKEN,
        )
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    asked_to_end.wait()
    server.shutdown()
    server.server_close()
    engine.kill_all()
    if not server.hang_up(SECONDS_TO_END):
        # A client that takes nothing keeps its thread waiting; the tables are whole without it.
        sys.stderr.flush()
        os._exit(0)
    front.close()
    engine.close()


def _refuse(sentence: str, code: int) -> NoReturn:
    typer.echo(f"ClickHouse: {sentence}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(serve)
