"""Answers requests: checks the user, opens the session, and executes the statement."""

import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import IO

from local_stack.clickhouse.engine import PIECE, Engine, EngineSession, Statistics
from local_stack.clickhouse.errors import refusal
from local_stack.clickhouse.request import Credentials, Request
from local_stack.clickhouse.running_query import Peer, RunningQuery
from local_stack.clickhouse.sessions import Sessions
from local_stack.clickhouse.statement import Statement, parse

HELD_BYTES = 1 << 20
"""How much of a result is held back, so that an early error sets the HTTP status."""
STATEMENT_BYTES = 256 * 1024
"""How much of a body may belong to an INSERT before its rows: ClickHouse's max_query_size."""

_KILLED = re.compile(r"KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*'([\w-]+)'(?:\s+(?:A?SYNC))?", re.I)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result whose beginning is free of errors."""

    format: str | None = None
    """None if the statement has no result."""
    pieces: Iterable[bytes] = ()
    length: int | None = 0
    """Its size in bytes; None if it is not complete yet."""
    statistics: Statistics = field(default_factory=Statistics)


class Front:
    """Executes requests on an engine. Thread-safe."""

    def __init__(self, engine: Engine, credentials: Credentials) -> None:
        self._engine, self._credentials = engine, credentials
        self._sessions = Sessions(engine)
        self._running: dict[str, RunningQuery] = {}

    def check(self, credentials: Credentials) -> None:
        """Accepts the right user and password.

        Raises:
            QueryError: the user or the password is wrong.
        """
        right = [
            secrets.compare_digest(given.encode(), wanted.encode())
            for given, wanted in (
                (credentials.user, self._credentials.user),
                (credentials.password, self._credentials.password),
            )
        ]
        if not all(right):
            raise refusal(
                516,
                "AUTHENTICATION_FAILED",
                f"{credentials.user}: Authentication failed: password is incorrect, "
                "or there is no user with such name",
            )

    @contextmanager
    def answered(self, request: Request, peer: Peer) -> Iterator[Answer]:
        """Yields the answer to a request. Its resources are released at the end of the block.

        Raises:
            QueryError: the statement fails. The pieces of the answer raise it too.
            PeerGone: the client has disconnected.
        """
        statement, rows = _statement_and_rows(request)
        if request.reads_only and statement.kind in ("rows", "command"):
            raise refusal(
                164,
                "READONLY",
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies "
                "readonly. You should use method POST for modifying queries",
            )
        with ExitStack() as stack:
            session = stack.enter_context(
                self._sessions.borrow(request.keep, request.database, request.settings)
            )
            for table in request.tables:
                session.attach(table)
                stack.callback(session.detach, table)
            yield self._execute(stack, session, statement, rows, request, peer)

    def _execute(
        self,
        stack: ExitStack,
        session: EngineSession,
        statement: Statement,
        rows: Iterator[bytes],
        request: Request,
        peer: Peer,
    ) -> Answer:
        session.check(statement, request.default_format)
        output_format = statement.format or request.default_format
        if statement.kind == "rows":
            rows = session.check_rows(statement, request.default_format, rows)
            written = session.insert(statement, request.default_format, rows)
            return Answer(statistics=written)
        if statement.kind == "query":
            running = RunningQuery(session, statement, output_format, peer)
            stack.callback(running.close)
            self._running[request.query_id] = running
            stack.callback(self._running.pop, request.query_id, None)
            held = SpooledTemporaryFile(max_size=8 * HELD_BYTES)  # noqa: SIM115 (closed below)
            stack.callback(held.close)
            return _begun(running, held, output_format, request.waits_for_end)
        found = _KILLED.fullmatch(statement.text.strip())
        if found and (running := self._running.get(found[1])):
            # The engine does not know the ids that clients give their queries.
            running.kill()
            return Answer()
        result, statistics = session.command(statement.text, output_format)
        named = output_format if result or statement.kind == "read" else None
        return Answer(named, [result], len(result), statistics)

    def close(self) -> None:
        """Closes the sessions that clients kept."""
        self._sessions.close()


def _begun(running: RunningQuery, held: IO[bytes], output_format: str, whole: bool) -> Answer:
    """The answer of a query, as soon as its beginning, or all of it, is held."""
    pieces = running.pieces()
    length = None
    for piece in pieces:
        held.write(piece)
        if held.tell() >= HELD_BYTES and not whole:
            break
    else:
        length = held.tell()
    held.seek(0)
    beginning = iter(lambda: held.read(PIECE), b"")
    return Answer(output_format, chain(beginning, pieces), length, running.statistics)


def _statement_and_rows(request: Request) -> tuple[Statement, Iterator[bytes]]:
    """The statement, from the URL or the body, and the rows behind it."""
    body = request.body
    if request.query.strip():
        statement = parse(request.query)
        if statement.kind == "rows":
            return statement, chain([statement.rows] if statement.rows else [], body)
        # In ClickHouse, the body continues the query of the URL.
        rest = b"".join(body)
        return (parse(request.query + b"\n" + rest) if rest.strip() else statement), iter(())
    head = b""
    while len(head) < STATEMENT_BYTES and (piece := next(body, b"")):
        head += piece
    statement = parse(head)
    if statement.kind == "rows":
        return statement, chain([statement.rows] if statement.rows else [], body)
    rest = b"".join(body)
    return (parse(head + rest) if rest else statement), iter(())
