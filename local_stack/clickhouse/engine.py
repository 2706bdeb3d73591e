"""The engine: chDB sessions, and the statements that run in them.

chDB runs queries of several sessions at the same time, from several threads. This module adds what
chDB lacks. Results of any format are streamed: the engine writes them into a pipe (`INTO OUTFILE`).
A query is cancelled by `KILL QUERY` from another session.
"""

import re
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from chdb import ChdbError, engine_version
from chdb.session import Session

from local_stack.clickhouse.errors import QueryError, refusal
from local_stack.clickhouse.formats import DEFAULT_FORMAT
from local_stack.clickhouse.sandbox import (
    check_functions,
    checked_values,
    separate_databases,
    write_configuration,
)
from local_stack.clickhouse.statement import Statement

VERSION = engine_version

_CODE = re.compile(r"Code: (\d+)\. ")
_NAME = re.compile(r"[A-Za-z_]\w*")
_PREFIX = re.compile(r"^Streaming insert (?:append|finish) failed: ")
_AS_A_SERVER = "implicit_select=0"
KILL_AGAIN_SECONDS = 0.02
MOST_MARKS = 200
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of what a statement read and wrote."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


@dataclass(frozen=True, slots=True)
class External:
    """A temporary table whose rows are part of a request."""

    name: str
    structure: str
    format: str
    data: IO[bytes]


class Engine:
    """chDB on one data folder. Thread-safe: each request uses its own session."""

    def __init__(self, path: Path, *, external_sources: bool = False) -> None:
        """Opens the folder, or creates it.

        `external_sources` lets statements read and write files and other servers.
        """
        self.is_confined = not external_sources
        separate_databases(path)
        with TemporaryDirectory(prefix="fraiseql-clickhouse-") as folder:
            # The path of the data may hold characters that would end this address.
            configuration = write_configuration(Path(folder), open_to_all=external_sources)
            self._address = f"{path}?{_AS_A_SERVER}&config-file={configuration}"
            # While one session is open, others open in a fraction of a millisecond, and the
            # configuration is not read again.
            self._base = Session(self._address)
        self._marks: set[str] = set()
        self._killing = threading.Lock()
        self.kills = 0
        """How many statements have killed queries."""

    def open(self) -> "EngineSession":
        """A new session."""
        return EngineSession(self, Session(self._address))

    def kill(self, mark: str, thread: threading.Thread) -> None:
        """Cancels the query that has the mark in its text or as its `log_comment`.

        Returns when `thread`, which runs the query, has ended.
        """
        # One statement kills the queries of all waiting threads, so that the statements do not slow
        # down the queries' ends. A query that has just begun is not found at once, so it repeats.
        self._marks.add(mark)
        while thread.is_alive():
            with self._killing:
                if thread.is_alive():
                    waiting = [mark, *self._marks.copy()][:MOST_MARKS]
                    marks = ", ".join(map(quoted, waiting))
                    self._base.query(
                        f"KILL QUERY WHERE multiSearchAny(query, [{marks}]) "
                        f"OR Settings['log_comment'] IN ({marks}) ASYNC"
                    )
                    thread.join(KILL_AGAIN_SECONDS)
        self._marks.discard(mark)

    def kill_all(self) -> None:
        """Cancels every query."""
        self.kills += 1
        self._base.query("KILL QUERY WHERE 1 ASYNC")

    def close(self) -> None:
        """Releases the data folder."""
        self._base.close()


class EngineSession:
    """Settings, parameters and temporary tables, and the statements that see them.

    Every method raises `QueryError` with ClickHouse's code and message.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        self.engine = engine
        self._session = session

    def set(self, settings: Mapping[str, str]) -> None:
        """Changes settings for the following statements, and parameters as `param_…`."""
        if settings:
            pairs = (f"{_checked(name)} = {quoted(value)}" for name, value in settings.items())
            self.query(f"SET {', '.join(pairs)}")

    def use(self, database: str) -> None:
        """Changes the current database."""
        escaped = database.replace("\\", "\\\\").replace("`", "\\`")
        self.query(f"USE `{escaped}`")

    def check(self, statement: Statement, input_format: str) -> None:
        """Refuses a statement of a client that reaches beyond the engine."""
        if self.engine.is_confined:
            takes_rows = statement.kind == "rows"
            rows = f" FORMAT {statement.format or input_format}" if takes_rows else ""
            check_functions(f"{statement.text}{rows}", self._canonical)

    def check_rows(
        self, statement: Statement, input_format: str, rows: Iterator[bytes]
    ) -> Iterator[bytes]:
        """The rows of a client's INSERT; refuses expressions that reach beyond the engine."""
        takes_expressions = (statement.format or input_format).lower() == "values"
        if self.engine.is_confined and takes_expressions:
            return checked_values(rows, self._canonical)
        return rows

    def _canonical(self, text: str) -> str:
        result, _ = self.query(f"SELECT formatQuerySingleLine({quoted(text)})", "RawBLOB")
        return result.decode()

    def attach(self, table: External) -> None:
        """Creates a temporary table with external data."""
        name = _checked(table.name)
        create = f"CREATE TEMPORARY TABLE {name} ({table.structure})"
        self.check(Statement("command", create), DEFAULT_FORMAT)
        self.query(create)
        target = Statement("rows", f"INSERT INTO {name}", format=table.format)
        self.insert(target, DEFAULT_FORMAT, iter(lambda: table.data.read(PIECE), b""))

    def detach(self, table: External) -> None:
        """Drops the temporary table."""
        self.query(f"DROP TEMPORARY TABLE IF EXISTS {_checked(table.name)}")

    def query(self, text: str, output_format: str = DEFAULT_FORMAT) -> tuple[bytes, Statistics]:
        """Runs a statement and returns its whole result."""
        try:
            result = self._session.query(text, output_format)
        except ChdbError as error:
            raise _query_error(error) from error
        return result.bytes(), Statistics(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            result_rows=result.rows_read(),
            result_bytes=result.bytes_read(),
        )

    def command(self, text: str, output_format: str) -> tuple[bytes, Statistics]:
        """Runs a statement that may be `KILL`, and returns its whole result."""
        if re.match(r"\s*KILL\b", text, re.IGNORECASE):
            self.engine.kills += 1
        return self.query(text, output_format)

    def insert(
        self, statement: Statement, input_format: str, pieces: Iterable[bytes]
    ) -> Statistics:
        """Streams rows into a table.

        If `pieces` raises, or the engine refuses rows, the rows that are not in a part of the table
        yet are not inserted. ClickHouse writes a part per million rows or 256 MB.
        """
        kills = self.engine.kills
        try:
            inserter = self._session.send_insert(statement.text, statement.format or input_format)
            try:
                for piece in pieces:
                    inserter.append(piece)
                done = inserter.finish()
            except BaseException:
                with suppress(RuntimeError):
                    inserter.cancel()
                raise
        except RuntimeError as error:
            raise _query_error(error) from error
        if kills != self.engine.kills:
            # A killed insert ends without an error, so it could have been this one.
            raise refusal(394, "QUERY_WAS_CANCELLED", "Query was cancelled")
        return Statistics(written_rows=done.rows_written, written_bytes=done.bytes_written)

    def close(self) -> None:
        """Closes the session and drops its temporary tables."""
        self._session.close()


def new_mark() -> str:
    """A text that no other query contains."""
    return secrets.token_hex(16)


def quoted(value: str) -> str:
    """A value as an SQL literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise refusal(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
    return name


def _query_error(error: Exception) -> QueryError:
    text = _PREFIX.sub("", str(error))
    found = _CODE.search(text)
    return QueryError(int(found[1]) if found else 1001, text)
