"""The engine: chDB sessions, and the statements that run in them.

chDB runs queries of several sessions at once and is used from several threads here. What it does
not do, and is done here: a result of any format is streamed by letting the engine write it into a
pipe (`INTO OUTFILE`), and a query is ended by `KILL QUERY` from another session.
"""

import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chdb import ChdbError, engine_version
from chdb.session import Session

from local_stack.clickhouse.errors import QueryError, refusal
from local_stack.clickhouse.formats import DEFAULT_FORMAT
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
    """What a statement read and wrote."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0


@dataclass(frozen=True, slots=True)
class External:
    """A temporary table that comes with a request."""

    name: str
    structure: str
    format: str
    data: IO[bytes]


class Engine:
    """chDB over one data folder. Thread-safe: each request works in a session of its own."""

    def __init__(self, path: Path) -> None:
        self._address = f"{path}?{_AS_A_SERVER}"
        # While one session is open, others open in a fraction of a millisecond.
        self._base = Session(self._address)
        self._marks: set[str] = set()
        self._killing = threading.Lock()
        self.kills = 0
        """How often queries were killed by statement, or all of them at the end."""

    def open(self) -> "EngineSession":
        """A new session."""
        return EngineSession(self, Session(self._address))

    def kill(self, mark: str, thread: threading.Thread) -> None:
        """Ends the query that has the mark in its text or as its `log_comment`.

        Returns when `thread`, in which it runs, has ended.
        """
        # One statement at a time kills for all who wait: many at once would take what time there is
        # from the queries' own ends. A query that has only just begun is not found yet: once more.
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
        """Ends every query."""
        self.kills += 1
        self._base.query("KILL QUERY WHERE 1 ASYNC")

    def close(self) -> None:
        """Lets go of the data folder."""
        self._base.close()


class EngineSession:
    """Settings, parameters and temporary tables, and the statements that see them.

    Every method raises `QueryError` with ClickHouse's code and words.
    """

    def __init__(self, engine: Engine, session: Session) -> None:
        self.engine = engine
        self._session = session

    def set(self, settings: Mapping[str, str]) -> None:
        """Sets settings for what follows, and parameters as `param_…`."""
        if settings:
            pairs = (f"{_checked(name)} = {quoted(value)}" for name, value in settings.items())
            self.query(f"SET {', '.join(pairs)}")

    def use(self, database: str) -> None:
        """Changes the current database."""
        escaped = database.replace("\\", "\\\\").replace("`", "\\`")
        self.query(f"USE `{escaped}`")

    def attach(self, table: External) -> None:
        """Makes a temporary table of external data."""
        name = _checked(table.name)
        self.query(f"CREATE TEMPORARY TABLE {name} ({table.structure})")
        target = Statement("rows", f"INSERT INTO {name}", format=table.format)
        self.insert(target, DEFAULT_FORMAT, iter(lambda: table.data.read(PIECE), b""))

    def detach(self, table: External) -> None:
        """Drops the temporary table again."""
        self.query(f"DROP TEMPORARY TABLE IF EXISTS {_checked(table.name)}")

    def query(self, text: str, output_format: str = DEFAULT_FORMAT) -> tuple[bytes, Statistics]:
        """Runs a statement and returns its whole result."""
        try:
            result = self._session.query(text, output_format)
        except ChdbError as error:
            raise _worded(error) from error
        return result.bytes(), Statistics(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            result_rows=result.rows_read(),
            result_bytes=result.bytes_read(),
        )

    def command(self, text: str, output_format: str) -> tuple[bytes, Statistics]:
        """Runs a statement that may kill others, or be killed, and returns its whole result."""
        if re.match(r"\s*KILL\b", text, re.IGNORECASE):
            self.engine.kills += 1
        return self.query(text, output_format)

    def insert(
        self, statement: Statement, input_format: str, pieces: Iterable[bytes]
    ) -> Statistics:
        """Streams rows into a table.

        When `pieces` raises, or the engine refuses the rows, the rows that are not in a part of the
        table yet never get there; ClickHouse writes a part per million rows or 256 MB.
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
            raise _worded(error) from error
        if kills != self.engine.kills:
            # A killed insert ends like a whole one: there is no telling whether it was this one.
            raise refusal(394, "QUERY_WAS_CANCELLED", "Query was cancelled")
        return Statistics(written_rows=done.rows_written, written_bytes=done.bytes_written)

    def close(self) -> None:
        """Ends the session; its temporary tables are gone."""
        self._session.close()


def new_mark() -> str:
    """A text that stands in no other query."""
    return secrets.token_hex(16)


def quoted(value: str) -> str:
    """A value as a literal of SQL."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise refusal(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'")
    return name


def _worded(error: Exception) -> QueryError:
    text = _PREFIX.sub("", str(error))
    found = _CODE.search(text)
    return QueryError(int(found[1]) if found else 1001, text)
