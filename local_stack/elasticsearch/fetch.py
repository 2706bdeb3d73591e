"""`python -m local_stack.elasticsearch.fetch`: brings an engine's jars onto this machine."""

from typing import Annotated

import typer

from local_stack.elasticsearch.engines import ENGINES, Search
from local_stack.elasticsearch.jars import EngineMissing, ensure_home


def fetch(
    engine: Annotated[Search, typer.Argument(help="Which engine.")] = Search.elasticsearch,
) -> None:
    """Fetch a search engine from Maven Central, where it is missing; checksums are verified.

    Everything else works without it, so a failure is only said.
    """
    try:
        ensure_home(ENGINES[engine])
    except EngineMissing as error:
        typer.echo(f"! {error} `dev` goes on without the operational plane.", err=True)


if __name__ == "__main__":
    typer.run(fetch)
