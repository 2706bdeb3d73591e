"""`python -m local_stack.clickhouse`: the chDB engine behind ClickHouse's HTTP interface."""

import faulthandler
import os
import sys
import threading
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from fraiseql_assets.settings import get_settings
from fraiseql_assets.termination import Termination
from local_stack.data_folder import FolderInUse, hold_folder
from local_stack.request_guard import CLICKHOUSE_PASSWORD

NO_PASSWORD, IN_USE, PORT_TAKEN, NO_FOLDER = 2, 3, 4, 5
HANG_UP_SECONDS, SHUTDOWN_SECONDS = 3.0, 6.0


def serve(
    data_dir: Annotated[Path, typer.Option(help="The folder that holds the tables.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8123,
    user: Annotated[str, typer.Option(help="The only user.")] = "default",
) -> None:
    """Serve ClickHouse's HTTP interface over the chDB engine, until SIGTERM or Ctrl-C.

    The user's password is taken from FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD, which must be set.
    """
    password = os.environ.get(CLICKHOUSE_PASSWORD)
    if not password:
        _refuse(f"{CLICKHOUSE_PASSWORD} is not set: it is the password of {user}", NO_PASSWORD)
    # An early signal is kept: the server looks once it is up.
    termination = Termination()
    if "?" in str(data_dir.resolve()):
        # The engine reads the path as a URL, whose path ends at the '?': another folder.
        _refuse(f"cannot use the data folder {data_dir}: its path has a '?' in it", NO_FOLDER)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with hold_folder(data_dir):
            _serve(data_dir.resolve() / "store", host, port, (user, password), termination)
    except FolderInUse as error:
        _refuse(str(error), IN_USE)
    except OSError as error:
        _refuse(f"cannot use the data folder {data_dir}: {error}", NO_FOLDER)


def _serve(
    store: Path, host: str, port: int, login: tuple[str, str], termination: Termination
) -> None:
    # A ClickHouse server in a container uses UTC. The engine reads this when it is imported, here
    # rather than above, since the import takes a third of a second and --help does not need it.
    os.environ["TZ"] = "UTC"
    from local_stack.clickhouse.engine import Engine
    from local_stack.clickhouse.front import Front
    from local_stack.clickhouse.request import Credentials
    from local_stack.clickhouse.server import HttpServer

    engine = Engine(store, external_sources=get_settings().clickhouse_external_sources)
    front = Front(engine, Credentials(*login))
    try:
        server = HttpServer((host, port), front)
    except OSError as error:
        engine.close()
        _refuse(
            f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.",
            PORT_TAKEN,
        )
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    termination.wait()
    _limit_shutdown()
    server.shutdown()
    server.server_close()
    engine.kill_all()
    if not server.hang_up(HANG_UP_SECONDS):
        # A client that does not read blocks its thread. The tables are complete without it.
        sys.stderr.flush()
        os._exit(0)
    front.close()
    engine.close()


def _limit_shutdown() -> None:
    """Ends the process after a while, whatever the engine still does. Its tables are complete."""

    def end() -> None:
        sys.stderr.write("ClickHouse: the engine did not stop in time; the process ends here:\n")
        faulthandler.dump_traceback()
        os._exit(0)

    limit = threading.Timer(SHUTDOWN_SECONDS, end)
    limit.daemon = True
    limit.start()


def _refuse(sentence: str, code: int) -> NoReturn:
    typer.echo(f"ClickHouse: {sentence}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(serve)
