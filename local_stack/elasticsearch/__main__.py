"""`python -m local_stack.elasticsearch`: one node on this machine, until SIGTERM."""

import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fraiseql_assets.settings import get_settings
from fraiseql_assets.termination import Termination
from local_stack.elasticsearch.engines import ENGINES, Search
from local_stack.elasticsearch.jars import EngineMissing, ensure_home
from local_stack.request_guard import SEARCH_PASSWORD, authorization

LOGGING = """\
status = error

appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n

rootLogger.level = warn
# What they would use beyond Java itself is faster and not needed.
logger.lucene.name = org.apache.lucene
logger.lucene.level = error
logger.native.name = {package}.nativeaccess
logger.native.level = error
rootLogger.appenderRef.console.ref = console
"""


def serve(
    data_dir: Annotated[Path, typer.Option(help="Where the data are kept.")],
    port: Annotated[int, typer.Option(help="Where HTTP is served.")],
    host: Annotated[str, typer.Option(help="The interface to listen on.")] = "127.0.0.1",
    engine: Annotated[Search, typer.Option(help="Which engine.")] = Search.elasticsearch,
    user: Annotated[str, typer.Option(help="The only user.")] = "fraiseql",
) -> None:
    """Serve a search engine on one node, until SIGTERM or Ctrl-C.

    The user's password is taken from FRAISEQL_LOCAL_SEARCH_PASSWORD, which must be set.
    """
    password = os.environ.get(SEARCH_PASSWORD)
    if not password:
        typer.echo(f"✗ {SEARCH_PASSWORD} is not set: it is the password of {user}.", err=True)
        raise typer.Exit(2)
    from local_stack.elasticsearch.node import start_java, start_node

    chosen = ENGINES[engine]
    try:
        home = ensure_home(chosen)
    except EngineMissing as error:
        typer.echo(f"✗ {error}", err=True)
        raise typer.Exit(1) from error
    data_dir = data_dir.absolute()
    configuration, logs = data_dir / "config", data_dir / "logs"
    for folder in (configuration, logs):
        folder.mkdir(parents=True, exist_ok=True)
    (configuration / "log4j2.properties").write_text(LOGGING.replace("{package}", chosen.package))
    start_java(chosen, home, logs, get_settings().elasticsearch_heap)
    # After Java, which has handlers of its own.
    termination = Termination()
    close = start_node(
        chosen,
        {
            "cluster.name": "fraiseql-local",
            "node.name": "local",
            "discovery.type": "single-node",
            "network.host": host,
            "http.port": str(port),
            # Nobody connects there; any free port will do.
            "transport.port": "0",
            "path.home": str(home),
            "path.data": str(data_dir / "data"),
            "path.logs": str(logs),
            # Where a snapshot repository of the type `fs` may be.
            "path.repo": str(data_dir / "snapshots"),
            # The collector leaves garbage until the heap is full, and the server would refuse
            # requests because of it. It counts the memory that requests reserve instead.
            "indices.breaker.total.use_real_memory": "false",
            # A disk that is nearly full by its percentage may have much room.
            "cluster.routing.allocation.disk.watermark.low": "1gb",
            "cluster.routing.allocation.disk.watermark.high": "512mb",
            "cluster.routing.allocation.disk.watermark.flood_stage": "256mb",
        },
        configuration,
        authorization(user, password),
    )
    # Each time Java collects garbage, JPype has Python collect its own. To look through what is
    # loaded, which stays, takes up to a sixth of the processor time of indexing.
    gc.freeze()
    sys.stderr.write(f"{chosen.title} {chosen.version} at http://{host}:{port}\n")
    termination.wait()
    close()


if __name__ == "__main__":
    typer.run(serve)
