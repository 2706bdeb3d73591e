"""The servers of the targets, and what no reply of theirs may hold."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_postgresql.dbapi as postgresql

from local_stack import servers
from tests.conftest import running

INNER = re.compile(r"Traceback|error [0-9a-f]{8}\b|\.py\b|site-packages")
"""What a message to a client never has: tracebacks, paths of code, and the number of an error that
the service did not expect."""


@contextmanager
def database() -> Iterator[str]:
    """A PostgreSQL server."""
    with running(servers.postgresql) as url:
        yield url


def execute(url: str, sql: str) -> None:
    """Runs statements that are separated by a semicolon at the end of a line."""
    with postgresql.connect(url, autocommit=True) as one, one.cursor() as run:
        for statement in sql.split(";\n"):
            if statement.strip():
                run.execute(statement)


def check_message(error: BaseException) -> None:
    """Fails if an error is not one that a client is meant to get."""
    assert not INNER.search(str(error)), str(error)
    assert len(str(error)) < 4000, str(error)
