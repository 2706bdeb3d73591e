"""A result of the local ClickHouse ends only if its query succeeded."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from local_stack.clickhouse.engine import EngineSession, Statistics
from local_stack.clickhouse.errors import QueryError
from local_stack.clickhouse.running_query import SYNTAX_ERROR, RunningQuery
from local_stack.clickhouse.statement import Statement

ROWS = b"1\n2\n3\n4\n5\n6\n7\n8\n"


class Session:
    """A session whose first query writes rows into the pipe and then raises an error."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def set(self, settings: dict[str, str]) -> None: ...

    def query(self, text: str, output_format: str = "") -> tuple[bytes, Statistics]:
        if "/dev/fd/" in text:
            os.write(int(text.split("/dev/fd/")[1].split("'")[0]), ROWS)
        if self.errors:
            raise self.errors.pop(0)
        return ROWS, Statistics()


class Client:
    """A client that stays connected."""

    def __init__(self, connection: socket.socket) -> None:
        self.fileno = connection.fileno

    def is_gone(self) -> bool:
        return False


@contextmanager
def running(*errors: Exception) -> Iterator[RunningQuery]:
    statement = Statement("query", "SELECT 1")
    near, far = socket.socketpair()
    with near, far:
        query = RunningQuery(cast(EngineSession, Session(*errors)), statement, "TSV", Client(near))
        try:
            yield query
        finally:
            query.close()


def test_the_result_of_a_query_that_succeeds_is_whole() -> None:
    with running() as query:
        assert b"".join(query.pieces()) == ROWS


@pytest.mark.parametrize(
    "errors",
    [
        (QueryError(159, "Timeout exceeded"),),
        (RuntimeError("the engine's connection broke"),),
        (QueryError(SYNTAX_ERROR, "Syntax error"), MemoryError()),
    ],
    ids=["of the engine", "unexpected", "unexpected in the second attempt"],
)
def test_any_error_ends_the_result_before_its_last_bytes(errors: tuple[Any, ...]) -> None:
    received: list[bytes] = []
    with running(*errors) as query, pytest.raises(type(errors[-1])):
        received.extend(query.pieces())
    assert b"".join(received) != ROWS
