"""Statements to the local ClickHouse, which must reach neither files nor other servers."""

import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from hypothesis import strategies as st

from local_stack import servers
from tests.conftest import running
from tests.fuzz.documents import TEXTS
from tests.fuzz.target import Check, Target
from tests.unit import test_sql_grammar as grammar

SECONDS = 60
MOST = 2**22
FILE, NEW, URL = "{FILE}", "{NEW}", "{URL}"
"""In a statement: a file that is there, one that is not, and another server."""
SOURCES = [
    f"file('{FILE}', 'LineAsString')",
    f"file('{FILE}')",
    f"url('{URL}', 'LineAsString', 'a String')",
    f"s3('{URL}/a/b.csv')",
    f"remote('{URL}', 'a', 'b')",
    f"mysql('{URL}', 'a', 'b', 'c', 'd')",
    f"postgresql('{URL}', 'a', 'b', 'c', 'd')",
    f"sqlite('{FILE}', 'a')",
    f"executable('cat {FILE}', 'LineAsString', 'a String')",
    "python('x')",
    f"fileCluster('default', '{FILE}')",
    f"urlCluster('default', '{URL}')",
    f"hdfs('{URL}/a', 'CSV')",
    "dictionary('x')",
    "input('a String')",
    "numbers(10)",
    "mine",
    f"`{FILE}`",
    f"filesystem('{FILE}')",
    f"loop(file('{FILE}'))",
    f"view(SELECT * FROM file('{FILE}'))",
    f"deltaLake('{URL}')",
    f"iceberg('{URL}')",
    f"mongodb('{URL}', 'a', 'b', 'c', 'd', 'e')",
    f"redis('{URL}', 'a', 'b')",
    "merge('.*')",
    "generateRandom('a String')",
    "values('a String', 'x')",
    "format(LineAsString, 'x')",
    f"azureBlobStorage('{URL}', 'a', 'b')",
]
CALLS = [
    f"file('{FILE}')",
    f"python('open(\"{FILE}\").read()')",
    "eval('1')",
    f"sqlite('{FILE}', 'x')",
    f"dictGet('x', 'a', file('{FILE}'))",
    f"if(1, file('{FILE}'), '')",
    f"arrayMap(x -> file(x), ['{FILE}'])",
    "version()",
    "getSetting('path')",
    f"`file`('{FILE}')",
    f"`fil\\x65`('{FILE}')",
    f"FILE('{FILE}')",
    f"file/**/('{FILE}')",
    f"catboostEvaluate('{FILE}', 1)",
    f"showCertificate('{FILE}')",
    f"hostName() || file('{FILE}')",
]
FORMS = [
    "SELECT * FROM {source}",
    "SELECT {call}",
    "SELECT {call} FROM {source}",
    "WITH x AS (SELECT * FROM {source}) SELECT * FROM x",
    "INSERT INTO FUNCTION {source} SELECT 'x'",
    "INSERT INTO mine SELECT {call}",
    "INSERT INTO mine VALUES ({call})",
    "INSERT INTO mine FROM INFILE '{FILE}' FORMAT LineAsString",
    "SELECT 1 INTO OUTFILE '{NEW}'",
    "SELECT 'x' INTO/**/OUTFILE '{NEW}' FORMAT CSV",
    "CREATE TABLE {name} (a String) ENGINE = File(CSV, '{FILE}')",
    "CREATE TABLE {name} (a String) ENGINE = URL('{URL}', 'CSV')",
    "CREATE TABLE {name} (a String DEFAULT {call}) ENGINE = Memory",
    "CREATE TABLE {name} ENGINE = Memory AS SELECT * FROM {source}",
    "CREATE VIEW {name} AS SELECT * FROM {source}",
    "CREATE MATERIALIZED VIEW {name} ENGINE = Memory AS SELECT {call} AS a FROM mine",
    "CREATE DICTIONARY {name} (a String) PRIMARY KEY a SOURCE(FILE(PATH '{FILE}' FORMAT 'CSV'))"
    " LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DATABASE {name} ENGINE = Filesystem('/')",
    "CREATE FUNCTION {name} AS (x) -> file(x)",
    "CREATE USER {name}",
    "GRANT ALL ON *.* TO default",
    "BACKUP TABLE mine TO File('{NEW}')",
    "BACKUP TABLE mine TO Disk('default', 'x')",
    "RESTORE TABLE mine FROM File('{FILE}')",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM RELOAD CONFIG",
    "SET allow_introspection_functions = 1",
    "ALTER TABLE mine ADD COLUMN b String DEFAULT {call}",
    "ALTER TABLE mine UPDATE a = {call} WHERE 1",
    "DESCRIBE TABLE {source}",
    "EXPLAIN SELECT * FROM {source}",
    "ATTACH TABLE {name} FROM '{FILE}' (a String) ENGINE = Memory",
    "SELECT * FROM mine SETTINGS log_queries = 1, user_files_path = '/'",
    "SELECT 1; SELECT {call}",
    "SHOW CREATE TABLE mine",
    "KILL QUERY WHERE 1",
    "USE system",
    "EXECUTE AS x SELECT 1",
    "SELECT * FROM system.{name}",
    "WATCH {name}",
    "EXISTS TABLE {source}",
    "DELETE FROM mine WHERE a = {call}",
    "OPTIMIZE TABLE mine",
]
PIECES = grammar.PIECES | st.sampled_from(
    [*SOURCES, *CALLS, "FORMAT", "SETTINGS", "INTO", "/*", "*/"]
)


@st.composite
def formed(draw: st.DrawFn) -> str:
    """A statement that tries to read a file or another server."""
    made = draw(st.sampled_from(FORMS))
    for name, parts in (("source", SOURCES), ("call", CALLS)):
        while f"{{{name}}}" in made:
            made = made.replace(f"{{{name}}}", draw(st.sampled_from(parts)), 1)
    return made.replace("{name}", draw(st.sampled_from(["other", "one", "tables"])))


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A statement in other letters, with comments and quotes where they may be missed."""
    made = draw(formed())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(made)))
        what = draw(
            st.sampled_from(["/**/", "--\n", "`", "\\", "'", '"', "\n", "(", ")", ";", "#!"])
        )
        made = made[:at] + what + made[at:]
    return made.swapcase() if draw(st.integers(0, 3)) == 0 else made


STATEMENTS_MADE = st.one_of(
    formed(),
    damaged(),
    st.lists(PIECES, min_size=1, max_size=12).map(" ".join),
    st.tuples(formed(), st.sampled_from(FORMS)).map("; ".join),
    TEXTS,
)


class Elsewhere:
    """Another server, which notices whether anybody connects to it."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.connections += 1

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _statements() -> Iterator[Check]:
    secret = secrets.token_hex(16)
    elsewhere = Elsewhere()
    with running(servers.clickhouse) as url, tempfile.TemporaryDirectory() as folder:
        parts = urlsplit(url)
        login = (parts.username or "", parts.password or "")
        address = f"http://{parts.hostname}:{parts.port}/"
        held, new = Path(folder) / "held.csv", Path(folder) / "new.csv"
        held.write_text(secret)

        def ask(statement: str, **settings: str | int) -> str:
            limits = {"max_execution_time": 5, "max_rows_to_read": 1_000_000, **settings}
            data = statement.encode(errors="replace")
            answer = requests.post(
                address, data=data, params=limits, auth=login, timeout=SECONDS, stream=True
            )
            try:
                return answer.content[:MOST].decode(errors="replace")
            except requests.exceptions.ChunkedEncodingError:
                # A result that takes too long breaks off.
                return ""

        def check(statement: str) -> None:
            ask("CREATE TABLE IF NOT EXISTS mine (a String) ENGINE = MergeTree ORDER BY a")
            for name, value in (
                ("FILE", held),
                ("NEW", new),
                ("URL", f"127.0.0.1:{elsewhere.port}"),
            ):
                statement = statement.replace(f"{{{name}}}", str(value))
            answer = ask(statement)
            assert secret not in answer
            assert secret not in ask("SELECT * FROM mine LIMIT 100")
            assert held.read_text() == secret
            assert sorted(Path(folder).iterdir()) == [held]
            assert elsewhere.connections == 0
            assert "Traceback" not in answer
            assert ask("SELECT 1") == "1\n"
            for name in ("other", "one", "tables"):
                ask(f"DROP TABLE IF EXISTS {name} SYNC")

        yield check
        elsewhere.close()


STATEMENTS = Target(STATEMENTS_MADE, _statements)
