"""The engine: chDB sessions, one per request, and the statements that run in them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chdb import ChdbError
from chdb.session import Session

from local_stack.clickhouse.formats import joiner
from local_stack.clickhouse.statement import Statement

_CODE = re.compile(r"Code: (\d+)\. .*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_PREFIXES = ("Streaming query failed: ", "Streaming insert finish failed: ",
             "Streaming insert append failed: ")  # fmt: skip

INSERT_PIECE = 1 << 20


class EngineError(Exception):
    """What ClickHouse says is wrong: its code and its message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Result:
    """A result on its way, and what is known of it before it is read."""

    pieces: Iterator[bytes]
    written_rows: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class External:
    """A temporary table that comes with a request."""

    name: str
    structure: str
    format: str
    data: bytes


class Engine:
    """chDB over one data folder. Thread-safe: each request works in a session of its own."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        # While one session is open, others open in a millisecond.
        self._base = Session(self._path)
        self.version = str(self._base.query("SELECT version()", "TabSeparated")).strip()

    def open(self) -> "EngineSession":
        """A new session."""
        return EngineSession(Session(self._path), self.version)

    def close(self) -> None:
        """Lets go of the data folder."""
        self._base.close()


class EngineSession:
    """Settings, parameters and temporary tables, and the statements that see them."""

    def __init__(self, session: Session, version: str) -> None:
        self._session, self._version = session, version

    def prepare(
        self, database: str | None, settings: Mapping[str, str], parameters: Mapping[str, str]
    ) -> None:
        """Sets what the following statement runs with.

        Raises:
            EngineError: an unknown database or setting.
        """
        if database:
            name = database.replace("\\", "\\\\").replace("`", "\\`")
            self._run(f"USE `{name}`")
        for name, value in settings.items():
            self._run(f"SET {_checked(name)} = {_quoted(value)}")
        for name, value in parameters.items():
            self._run(f"SET param_{_checked(name)} = {_quoted(value)}")

    def attach(self, table: External) -> None:
        """Makes a temporary table of external data."""
        self._run(f"CREATE TEMPORARY TABLE {_checked(table.name)} ({table.structure})")
        statement = Statement(
            f"INSERT INTO {table.name}", table.format, takes_rows=True, is_query=False
        )
        self.insert(statement, [table.data])

    def run(self, statement: Statement, default_format: str) -> Result:
        """Runs a statement; the first piece of its result is there when this returns."""
        name = statement.format or default_format
        join = joiner(name)
        if statement.is_query and join:
            with self._errors():
                stream = self._session.send_query(statement.text, name)
            pieces = join(self._pieces(stream))
            first = next(pieces, None)
            if first is not None:
                return Result(_chain(first, pieces))
            # An empty result has a head all the same, which the stream does not give.
        with self._errors():
            whole = self._session.query(statement.text, name)
        return Result(iter([whole.bytes()]))

    def insert(self, statement: Statement, pieces: Iterable[bytes]) -> Result:
        """Streams rows into a table. What fails half-way is not committed by this call."""
        with self._errors():
            inserter = self._session.send_insert(statement.text, statement.format or "TabSeparated")
        try:
            with self._errors():
                for piece in pieces:
                    inserter.append(piece)
                done = inserter.finish()
        except BaseException:
            with suppress(RuntimeError):
                inserter.cancel()
            raise
        return Result(iter([]), done.rows_written, done.bytes_written)

    def close(self) -> None:
        """Ends the session; its temporary tables are gone."""
        self._session.close()

    def _run(self, text: str) -> None:
        with self._errors():
            self._session.query(text)

    def _pieces(self, stream: Any) -> Iterator[bytes]:
        """The pieces of a stream. Closing the iterator cancels the query in the engine."""
        try:
            with self._errors():
                for chunk in stream:
                    yield chunk.bytes()
        finally:
            with suppress(RuntimeError):
                stream.cancel()

    def _errors(self) -> "_Errors":
        return _Errors(self._version)


class _Errors:
    """Turns the engine's errors into ClickHouse's code and wording."""

    def __init__(self, version: str) -> None:
        self._version = version

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, ChdbError | RuntimeError):
            return
        text = str(error)
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix)
        found = _CODE.search(text)
        if "(version " not in text:
            text = f"{text} (version {self._version})"
        raise EngineError(int(found.group(1)) if found else 48, text) from error


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield first
        yield from rest
    finally:
        close = getattr(rest, "close", None)
        if close:
            close()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise EngineError(
            115, f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)"
        )
    return name


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
