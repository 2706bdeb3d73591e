"""`python -m local_stack.elasticsearch.fetch`: downloads an engine's jars."""

from typing import Annotated

import typer

from local_stack.elasticsearch.engines import ENGINES, Search
from local_stack.elasticsearch.jars import EngineMissing, ensure_home


def fetch(
    engine: Annotated[Search, typer.Argument(help="Which engine.")] = Search.elasticsearch,
) -> None:
    """Download a search engine from Maven Central if it is missing, and verify its checksums.

    Everything else works without it, so a failure is only a warning.
    """
    try:
        ensure_home(ENGINES[engine])
    except EngineMissing as error:
        typer.echo(f"! {error} `dev` goes on without the operational plane.", err=True)


if __name__ == "__main__":
    typer.run(fetch)
