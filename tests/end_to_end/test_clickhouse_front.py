"""The ClickHouse front with clickhouse-connect, curl and a plain socket.

All tests share one server, which takes seconds to start, so the file is longer than others.
"""

import gzip
import json
import re
import secrets
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import lz4.frame
import psutil
import pyarrow as pa
import pytest
import requests
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from local_stack.request_guard import authorization

GREEDY = "SELECT groupArray(number) FROM numbers(9000000)"
ENDLESS = "SELECT number FROM numbers(1000000000000)"
SILENT = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) % 7 = 3"
# It has sent two megabytes by then, twice what the front holds back.
FAILS_LATE = (
    "SELECT number, throwIf(number = 900000) AS zero FROM numbers(1000000) "
    "SETTINGS max_block_size = 1000, max_threads = 1"
)
PACKED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "deflate": (zlib.compress, zlib.decompress),
    "zstd": (zstandard.compress, zstandard.ZstdDecompressor().decompressobj().decompress),
    "lz4": (lz4.frame.compress, lz4.frame.decompress),
}


class Front:
    """The front's address, and a database of the test's own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        assert parts.username
        assert parts.password
        self.host, self.port = parts.hostname, parts.port
        self.user, self.password = parts.username, parts.password
        self.login = (self.user, self.password)
        self.url = f"http://{self.host}:{self.port}/"
        self.database = f"front_{secrets.token_hex(4)}"

    def ask(self, query: str | bytes, /, **parameters: str | int) -> requests.Response:
        return requests.post(
            self.url,
            data=query,
            params={"database": self.database, **parameters},
            auth=self.login,
            timeout=60,
        )

    def text(self, query: str | bytes, /, **parameters: str | int) -> str:
        answer = self.ask(query, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.text.rstrip("\n")

    def insert(self, statement: str, rows: Any, **headers: str) -> requests.Response:
        query = {"database": self.database, "query": statement}
        return requests.post(
            self.url, params=query, data=rows, headers=headers, auth=self.login, timeout=60
        )

    def client(self, **options: Any) -> Client:
        return clickhouse_connect.get_client(
            host=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            database=self.database,
            **options,
        )

    def curl(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["curl", "--silent", "--max-time", "60", "--user", ":".join(self.login), *arguments],
            input=given,
            capture_output=True,
        )

    def send(self, query: str, body: bytes, headers: bytes = b"") -> socket.socket:
        """Sends a request, or the beginning of one, and leaves the connection open."""
        connection = socket.create_connection((self.host, self.port), timeout=60)
        address = urlencode({"database": self.database, "query": query})
        headers = headers or b"Content-Length: %d\r\n" % len(body)
        connection.sendall(b"POST /?%b HTTP/1.1\r\nHost: localhost\r\n" % address.encode())
        connection.sendall(f"Authorization: {authorization(*self.login)}\r\n".encode())
        connection.sendall(headers + b"\r\n" + body)
        return connection

    def running(self, query: str) -> int:
        like = query.replace("'", "\\'")
        return int(
            self.text(
                f"SELECT count() FROM system.processes WHERE startsWith(query, '{like}')",
                database="default",
            )
        )


@pytest.fixture(scope="module")
def front(clickhouse_url: str) -> Iterator[Front]:
    front = Front(clickhouse_url)
    front.text(f"CREATE DATABASE {front.database}", database="default")
    front.text("CREATE TABLE pairs (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    yield front
    front.text(f"DROP DATABASE {front.database} SYNC", database="default")


@pytest.fixture
def pairs(front: Front) -> Front:
    """The front with an empty table `pairs (a UInt64, b String)`."""
    front.text("TRUNCATE TABLE pairs")
    return front


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["ping", "replicas_status", ""])
def test_ping_is_answered(front: Front, path: str) -> None:
    answer = requests.get(front.url + path, timeout=10)
    assert (answer.status_code, answer.text) == (200, "Ok.\n")


def test_the_server_listens_only_on_loopback(front: Front) -> None:
    listening = [
        found.laddr.ip
        for found in psutil.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN and found.laddr.port == front.port
    ]
    assert listening == ["127.0.0.1"]


def test_curl_queries_by_get_and_post(front: Front) -> None:
    assert front.curl(f"{front.url}?query=SELECT+1").stdout == b"1\n"
    assert front.curl(front.url, "--data-binary", "SELECT 2").stdout == b"2\n"
    assert front.curl(front.url, "--data-binary", "@-", given=b"SELECT 3").stdout == b"3\n"


def test_a_query_may_be_split_between_url_and_body(front: Front) -> None:
    assert front.text("FORMAT CSV", query="SELECT 'x'") == '"x"'


def test_get_requests_are_read_only(pairs: Front) -> None:
    query = {"query": "INSERT INTO pairs VALUES (1, 'x')", "database": pairs.database}
    answer = requests.get(pairs.url, params=query, auth=pairs.login, timeout=10)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert pairs.text("SELECT count() FROM pairs") == "0"


def test_a_result_has_the_format_of_the_query_or_the_default(front: Front) -> None:
    assert front.text("SELECT 1 AS a FORMAT JSONEachRow") == '{"a":1}'
    assert front.text("SELECT 1 AS a", default_format="JSONEachRow") == '{"a":1}'
    assert front.text("SELECT 1 AS a FORMAT CSVWithNames", default_format="JSON") == '"a"\n1'
    answer = front.ask("SELECT 1 AS a")
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert answer.headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"


def test_a_streamed_json_result_is_one_document(front: Front) -> None:
    rows = json.loads(front.text("SELECT number FROM numbers(300000) FORMAT JSON"))
    assert rows["rows"] == len(rows["data"]) == 300_000


@pytest.mark.parametrize(
    ("query", "parameters", "code", "status", "words"),
    [
        ("SELECT * FROM absent", {}, 60, 404, "UNKNOWN_TABLE"),
        ("SELEC 1", {}, 62, 400, "failed at position 1 (SELEC)"),
        ("SELECT 1 +", {}, 62, 400, "failed at position 11 (end of query)"),
        ("SELECT 1; SELECT 2", {}, 62, 400, "Multi-statements are not allowed"),
        ("", {}, 62, 400, "Empty query"),
        ("SELECT absent", {}, 47, 404, "UNKNOWN_IDENTIFIER"),
        ("SELECT absent()", {}, 46, 404, "UNKNOWN_FUNCTION"),
        ("SELECT 1 FORMAT Absent", {}, 73, 404, "UNKNOWN_FORMAT"),
        ("INSERT INTO absent FORMAT CSV\n1", {}, 60, 404, "UNKNOWN_TABLE"),
        ("DROP TABLE absent", {}, 60, 404, "UNKNOWN_TABLE"),
        ("SELECT 1", {"database": "absent"}, 81, 404, "UNKNOWN_DATABASE"),
        ("SELECT 1", {"absent": 1}, 115, 404, "UNKNOWN_SETTING"),
        ("SELECT {x:UInt8}", {"param_x": "y"}, 457, 400, "BAD_QUERY_PARAMETER"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", {}, 480, 500, "INTO OUTFILE is not allowed"),
        (SILENT, {"max_execution_time": "0.1"}, 159, 408, "TIMEOUT_EXCEEDED"),
        (GREEDY, {"max_memory_usage": 1_000_000}, 241, 500,
         "MEMORY_LIMIT_EXCEEDED"),
        ("SELECT 1", {"compress": 1}, 48, 501, "Accept-Encoding"),
        ("SELECT 1", {"session_id": "absent", "session_check": 1}, 372, 404, "SESSION_NOT_FOUND"),
    ],
)  # fmt: skip
def test_an_error_has_the_code_and_message_of_clickhouse(
    front: Front, query: str, parameters: dict[str, str | int], code: int, status: int, words: str
) -> None:
    answer = front.ask(query, **parameters)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (
        status,
        str(code),
    )
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert words in answer.text
    assert "/dev/fd" not in answer.text


def test_an_error_in_a_short_result_is_the_response(front: Front) -> None:
    answer = front.ask("SELECT throwIf(number = 1000) FROM numbers(2000)", max_block_size=10)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_with_wait_end_of_query_a_late_error_is_the_response(front: Front) -> None:
    answer = front.ask(FAILS_LATE, wait_end_of_query=1)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_a_query_has_the_given_id_or_a_new_one(front: Front) -> None:
    answers = [front.ask("SELECT 1", query_id="mine"), front.ask("SELECT 1"), front.ask("SELEC")]
    ids = [answer.headers["X-ClickHouse-Query-Id"] for answer in answers]
    assert ids[0] == "mine"
    assert len(set(ids)) == 3


def test_an_insert_reports_the_rows_it_wrote(pairs: Front) -> None:
    answer = pairs.insert("INSERT INTO pairs FORMAT CSV", b"1,x\n2,y\n")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"


@pytest.mark.parametrize(
    ("statement", "body"),
    [
        ("INSERT INTO pairs FORMAT CSV", "1,x\n2,y\n"),
        ("INSERT INTO pairs (b, a) FORMAT TSV", "x\t1\ny\t2\n"),
        ("INSERT INTO pairs VALUES", "(1, 'x'), (1 + 1, lower('Y'))"),
        ("", "INSERT INTO pairs VALUES (1, 'x'), (2, 'y');"),
        ("", 'INSERT INTO pairs FORMAT JSONEachRow {"a":1,"b":"x"}{"a":2,"b":"y"}'),
        ("INSERT INTO pairs", "SELECT number + 1, ['x', 'y'][number + 1] FROM numbers(2)"),
        ("INSERT INTO pairs SELECT 1, 'x' UNION ALL SELECT 2, 'y'", ""),
    ],
)
def test_rows_may_be_in_the_url_or_the_body(pairs: Front, statement: str, body: str) -> None:
    if body.startswith("SELECT"):
        statement, body = "", f"{statement} {body}"
    assert pairs.insert(statement, body).text == ""
    assert pairs.text("SELECT * FROM pairs ORDER BY a") == "1\tx\n2\ty"


def test_curl_streams_rows_in_chunks(pairs: Front) -> None:
    rows = b"".join(b"%d,row\n" % number for number in range(100_000))
    address = f"{pairs.url}?database={pairs.database}&query=INSERT+INTO+pairs+FORMAT+CSV"
    done = pairs.curl(address, "-X", "POST", "-T", "-", given=rows)
    assert (done.returncode, done.stdout) == (0, b"")
    assert pairs.text("SELECT count(), sum(a) FROM pairs") == "100000\t4999950000"


@pytest.mark.parametrize("encoding", PACKED)
def test_bodies_are_compressed_in_both_directions(pairs: Front, encoding: str) -> None:
    pack, unpack = PACKED[encoding]
    rows = b"".join(b"%d\tx\n" % number for number in range(300_000))
    statement = "INSERT INTO pairs FORMAT TSV"
    assert pairs.insert(statement, pack(rows), **{"Content-Encoding": encoding}).text == ""
    query = {"database": pairs.database, "enable_http_compression": "1"}
    answer = requests.post(
        pairs.url,
        params=query,
        data="SELECT * FROM pairs ORDER BY a",
        headers={"Accept-Encoding": encoding},
        auth=pairs.login,
        stream=True,
        timeout=60,
    )
    assert answer.headers["Content-Encoding"] == encoding
    assert unpack(answer.raw.read(decode_content=False)) == rows


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_clickhouse_connect_writes_and_reads_every_kind_of_value(
    front: Front, compress: str | bool
) -> None:
    rows = [
        (1, "é\t'\\\n", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), None, ["a", ""], "low"),
        (2, "", datetime(1970, 1, 1, tzinfo=UTC), -0.5, [], "low"),
    ]
    with front.client(compress=compress, tz_mode="aware") as client:
        client.command("DROP TABLE IF EXISTS kinds")
        client.command(
            "CREATE TABLE kinds (a UInt64, b String, c DateTime64(6, 'UTC'), d Nullable(Float64), "
            "e Array(String), f LowCardinality(String)) ENGINE = MergeTree ORDER BY a"
        )
        assert client.insert("kinds", rows, column_names="*").written_rows == 2
        assert client.query("SELECT * FROM kinds ORDER BY a").result_rows == rows
        client.insert_arrow("kinds", client.query_arrow("SELECT * FROM kinds"))
        assert client.command("SELECT count() FROM kinds") == 4


def test_values_with_any_characters_are_bound(front: Front) -> None:
    values = {"a": "it's \\ a\ttab,\nnew line é😀", "b": ["x'y", ""], "c": None, "d": 2**63}
    with front.client() as client:
        result = client.query(
            "SELECT {a:String}, {b:Array(String)}, {c:Nullable(Date)}, {d:UInt64}",
            parameters=values,
        )
    assert result.result_rows == [tuple(values.values())]


def test_settings_apply_only_to_their_request(front: Front) -> None:
    asked = "SELECT getSetting('max_block_size'), currentDatabase()"
    session = {"session_id": secrets.token_hex(4)}
    before = front.text(asked, **session)
    assert front.text(asked, max_block_size=77, **session) == f"77\t{front.database}"
    assert front.text(asked, **{**session, "database": "system"}).endswith("\tsystem")
    assert front.text(asked, **session) == before
    front.text("SET max_block_size = 99", **session)
    assert front.text(asked, max_block_size=77, **session) == f"77\t{front.database}"
    assert front.text(asked, **session) == f"99\t{front.database}"


def test_a_session_keeps_its_temporary_tables(front: Front) -> None:
    with front.client() as client, front.client() as other:
        client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
        client.command("INSERT INTO mine VALUES (7)")
        assert client.command("SELECT a FROM mine") == 7
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            other.command("SELECT a FROM mine")


def test_a_session_runs_one_request_at_a_time(front: Front) -> None:
    session = {"session_id": secrets.token_hex(4)}
    busy = threading.Thread(target=front.text, args=("SELECT sleep(3)",), kwargs=session)
    busy.start()
    until(lambda: front.running("SELECT sleep(3)") == 1)
    answer = front.ask("SELECT 1", **session)
    busy.join()
    assert answer.headers["X-ClickHouse-Exception-Code"] == "373"
    assert front.text("SELECT 1", **session) == "1"


def test_external_data_is_a_temporary_table_of_the_request(front: Front) -> None:
    people = ExternalData(
        file_name="people", fmt="CSV", structure=["name String", "age UInt8"], data=b"a,1\nb,2\n"
    )
    with front.client() as client:
        query = "SELECT name FROM people WHERE age > {least:UInt8}"
        assert client.query(query, {"least": 1}, external_data=people).result_rows == [("b",)]
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            client.query("SELECT * FROM people")


def test_curl_sends_external_data(front: Front) -> None:
    done = front.curl(
        f"{front.url}?query=SELECT+sum(_1)+FROM+numbers_given&numbers_given_types=UInt64",
        *("-F", "numbers_given=@-"),
        given=b"".join(b"%d\n" % number for number in range(200_000)),
    )
    assert done.stdout == b"19999900000\n"


def test_an_empty_arrow_result_has_the_full_schema(front: Front) -> None:
    with front.client() as client, closing(
        client.raw_stream("SELECT a, b FROM pairs WHERE 0", fmt="ArrowStream")
    ) as stream, pa.ipc.open_stream(stream) as reader:  # fmt: skip
        assert reader.schema.names == ["a", "b"]
        assert reader.read_all().num_rows == 0


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_interrupted_result_never_looks_complete(front: Front, encoding: str) -> None:
    headers = ["-H", f"Accept-Encoding: {encoding}", "--compressed"]
    done = front.curl(f"{front.url}?enable_http_compression=1", *headers, "-d", FAILS_LATE)
    assert done.returncode == 18
    assert b"__exception__\r\n" in done.stdout
    assert b"Code: 395. DB::Exception: " in done.stdout[-2000:]


def test_clickhouse_connect_reports_why_a_result_was_interrupted(front: Front) -> None:
    with front.client() as client, pytest.raises(DatabaseError, match="Code: 395"):
        client.query(FAILS_LATE)


def test_an_interrupted_arrow_stream_is_an_error_for_its_reader(front: Front) -> None:
    done = front.curl(f"{front.url}?default_format=ArrowStream", "-d", FAILS_LATE)
    with pytest.raises(pa.ArrowInvalid), pa.ipc.open_stream(done.stdout) as reader:
        reader.read_all()


@pytest.mark.parametrize("query", [SILENT, ENDLESS])
def test_a_disconnect_ends_the_query(front: Front, query: str) -> None:
    query = query.replace("1000000000000", str(10**12 + secrets.randbelow(10**9)))
    connection = front.send("", query.encode())
    until(lambda: front.running(query) == 1)
    connection.close()
    until(lambda: front.running(query) == 0)


@pytest.mark.parametrize(
    ("query", "parameters"),
    [(SILENT, {}), (SILENT.replace("= 3", "= {rest:UInt8}"), {"param_rest": 3})],
    ids=["without parameters", "with parameters"],
)
def test_a_query_is_killed_by_its_id(front: Front, query: str, parameters: dict[str, int]) -> None:
    answers: list[requests.Response] = []
    name = f"mine-{secrets.token_hex(4)}"

    def ask() -> None:
        answers.append(front.ask(query, query_id=name, **parameters))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    until(lambda: front.running(SILENT.partition(" WHERE ")[0]) == 1)
    assert front.text("KILL QUERY WHERE query_id = 'another' ASYNC") == ""
    assert asking.is_alive()
    front.text(f"KILL QUERY WHERE query_id = '{name}' ASYNC")
    asking.join(20)
    assert answers[0].headers["X-ClickHouse-Exception-Code"] == "394"


def test_a_slow_reader_pauses_the_query(front: Front) -> None:
    process = process_at(front.port)
    before = process.memory_info().rss
    with front.send("", ENDLESS.encode()) as connection:
        connection.recv(1000)
        time.sleep(1)
        assert process.memory_info().rss - before < 100 * 2**20


def test_a_long_result_is_streamed_in_bounded_memory(front: Front) -> None:
    process = process_at(front.port)
    before, most, rows, size = process.memory_info().rss, 0, 0, 0
    query = "SELECT number, hex(sipHash128(number)) AS h FROM numbers(5000000)"
    with front.client() as client, closing(
        client.raw_stream(
            query, fmt="ArrowStream", settings={"output_format_arrow_compression_method": "none"}
        )
    ) as stream, pa.ipc.open_stream(stream) as reader:  # fmt: skip
        for batch in reader:
            rows += batch.num_rows
            size += batch.nbytes
            most = max(most, process.memory_info().rss)
    assert rows == 5_000_000
    assert size > 200 * 2**20
    assert most - before < 100 * 2**20


def cut_bodies() -> dict[str, tuple[bytes, bytes]]:
    """Headers and as much as is sent of 200,000 rows."""
    rows = b"".join(b"%d\tx\n" % number for number in range(200_000))
    half = rows[: len(rows) // 2]
    packed = zstandard.compress(rows)
    chunks = b"Transfer-Encoding: chunked\r\n"
    return {
        "of known length": (b"Content-Length: %d\r\n" % len(rows), half),
        "in a chunk": (chunks, b"%x\r\n" % len(rows) + half),
        "between chunks": (chunks, b"%x\r\n" % len(half) + half + b"\r\n"),
        "packed, with a whole length": (
            b"Content-Encoding: zstd\r\nContent-Length: %d\r\n" % (len(packed) // 2),
            packed[: len(packed) // 2],
        ),
    }


@pytest.mark.parametrize("which", cut_bodies())
def test_a_truncated_body_commits_nothing(pairs: Front, which: str) -> None:
    headers, sent = cut_bodies()[which]
    with pairs.send("INSERT INTO pairs FORMAT TSV", sent, headers) as connection:
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"X-ClickHouse-Exception-Code: 33\r\n" in answer
    assert pairs.text("SELECT count() FROM pairs") == "0"


def test_an_invalid_row_commits_nothing_and_is_an_error(pairs: Front) -> None:
    rows = b"1\tx\nnot a number\ty\n" + b"2\tz\n" * 5_000_000
    answer = pairs.insert("INSERT INTO pairs FORMAT TSV", rows)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (400, "27")
    assert pairs.text("SELECT count() FROM pairs") == "0"


def test_reads_continue_during_a_long_insert(pairs: Front) -> None:
    asked, answered = threading.Event(), threading.Event()

    def rows() -> Iterator[bytes]:
        yield b"".join(b"%d\tx\n" % number for number in range(100_000))
        asked.set()
        assert answered.wait(30)
        yield b"100000\ty\n"

    statement = "INSERT INTO pairs FORMAT TSV"
    writer = threading.Thread(target=pairs.insert, args=(statement, rows()))
    writer.start()
    assert asked.wait(30)
    assert pairs.text("SELECT count() FROM pairs") == "0"
    answered.set()
    writer.join()
    assert pairs.text("SELECT count() FROM pairs") == "100001"


def test_a_deduplication_token_inserts_once_into_table_and_views(front: Front) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 100"
    front.text(f"CREATE TABLE once (a UInt64) ENGINE = MergeTree ORDER BY a {window}")
    front.text(
        "CREATE TABLE counted (one UInt8, n AggregateFunction(count)) "
        f"ENGINE = AggregatingMergeTree ORDER BY one {window}"
    )
    front.text(
        "CREATE MATERIALIZED VIEW counts TO counted AS "
        "SELECT 1 AS one, countState() AS n FROM once GROUP BY one"
    )
    for _ in range(2):
        front.text(
            "INSERT INTO once SELECT number FROM numbers(1000)",
            insert_deduplicate=1,
            deduplicate_blocks_in_dependent_materialized_views=1,
            insert_deduplication_token="token",
        )
    assert front.text("SELECT count(), (SELECT countMerge(n) FROM counted) FROM once") == (
        "1000\t1000"
    )


def test_a_killed_insert_is_never_acknowledged(pairs: Front) -> None:
    def rows() -> Iterator[bytes]:
        yield b"1\tx\n"
        until(lambda: pairs.running("INSERT INTO pairs") == 1)
        pairs.text("KILL QUERY WHERE query LIKE 'INSERT INTO pairs%' ASYNC")
        yield b"2\tx\n"

    answer = pairs.insert("INSERT INTO pairs FORMAT TSV", rows())
    assert answer.headers["X-ClickHouse-Exception-Code"] == "394"


def test_a_connection_is_reused_for_several_requests(front: Front) -> None:
    with requests.Session() as session:
        answers = [
            session.post(front.url, data=query, auth=front.login, timeout=10).status_code
            for query in ("SELECT 1", "SELEC", "SELECT number FROM numbers(200000)", "SELECT 1")
        ]
    assert answers == [200, 400, 200, 200]


def test_many_threads_write_and_read_at_once(pairs: Front) -> None:
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            with pairs.client(autogenerate_session_id=False) as client:
                for turn in range(10):
                    first = (number * 10 + turn) * 100
                    rows = b"".join(b"%d\tx\n" % row for row in range(first, first + 100))
                    client.raw_insert("pairs", insert_block=rows, fmt="TSV")
                    mine = f"SELECT count() FROM pairs WHERE a BETWEEN {first} AND {first + 99}"
                    assert client.command(mine) == 100
                    with pytest.raises(DatabaseError):
                        client.query("SELECT * FROM absent")
                    with client.query_arrow_stream("SELECT * FROM pairs") as batches:
                        next(iter(batches))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert pairs.text("SELECT count(), uniqExact(a) FROM pairs") == "10000\t10000"


def process_at(port: int) -> psutil.Process:
    [found] = [
        found
        for found in psutil.net_connections("tcp")
        if found.status == psutil.CONN_LISTEN and found.laddr.port == port
    ]
    return psutil.Process(found.pid)


OUTSIDE = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "INSERT INTO FUNCTION file('{file}', 'TSV', 'a UInt8') SELECT 1",
    "SELECT 1 INTO OUTFILE '{file}'",
    "SELECT 1 AS x$$ INTO OUTFILE '{file}' --$$",
    "SELECT * FROM url('http://127.0.0.1:{port}/ping', 'LineAsString')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/x', 'TSV', 'a UInt8')",
    "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('{file}', 'a')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'TSV', 'a UInt8')",
    "SELECT * FROM jdbc('a', 'b', 'c')",
    "SELECT * FROM odbc('a', 'b', 'c')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a UInt8')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM iceberg('{file}')",
    "SELECT * FROM deltaLakeLocal('/etc')",
    "SELECT * FROM files.`/etc/passwd`",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM Python(self)",
    "SELECT file('/etc/passwd')",
    "SELECT `fil\\x65`('/etc/passwd')",
    "SELECT arrayMap((file), ['/etc/passwd'])",
    "SELECT * APPLY file FROM (SELECT '/etc/passwd' AS name)",
    "CREATE VIEW outside AS SELECT file('/etc/passwd') AS x",
    "CREATE TABLE outside (a String) ENGINE = File(TSV, '/etc/passwd')",
    "CREATE TABLE outside (a String) ENGINE = URL('http://127.0.0.1:{port}/ping', TSV)",
    "CREATE TABLE outside (a String DEFAULT file('/etc/passwd')) ENGINE = Memory",
    "CREATE DATABASE outside ENGINE = Filesystem('/')",
    "CREATE DATABASE outside ENGINE = MySQL('127.0.0.1:1', 'a', 'b', 'c')",
    "CREATE DICTIONARY outside (a UInt64) PRIMARY KEY a "
    "SOURCE(HTTP(url 'http://127.0.0.1:{port}/ping' format 'TSV')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE FUNCTION outside AS x -> x",
    "CREATE USER outside",
    "GRANT ALL ON *.* TO default",
    "BACKUP TABLE pairs TO File('{file}')",
    "RESTORE TABLE pairs FROM File('{file}')",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd'",
    "SET dialect = 'prql'",
]
"""Statements that would leave the engine, or end it."""


def outside(front: Front, statement: str, file: Path) -> requests.Response:
    """The response to a statement that names a file or the front's port."""
    return front.ask(statement.replace("{file}", str(file)).replace("{port}", str(front.port)))


@pytest.mark.parametrize("statement", OUTSIDE)
def test_no_statement_reaches_files_or_other_servers(
    pairs: Front, tmp_path: Path, statement: str
) -> None:
    # Another user could not write into a test's own folder, and the engine is the same user.
    written = tmp_path / "written"
    answer = outside(pairs, statement, written)
    assert answer.status_code >= 400, answer.text
    assert "root:" not in answer.text
    assert not written.exists()
    assert pairs.text("SELECT 1") == "1"


WITHOUT_GRANT = [
    "CREATE TABLE outside (a String) ENGINE = EmbeddedRocksDB(0, '{file}') PRIMARY KEY a",
    "CREATE TABLE outside (a String) ENGINE = `Embedded\\x52ocksDB`(0, '{file}') PRIMARY KEY a",
    "CREATE TABLE outside (a String) ENGINE = Executable('id', 'TSV')",
    "ATTACH TABLE outside (a String) ENGINE = FileLog('/etc/passwd', 'LineAsString')",
    "CREATE TABLE outside (a String) ENGINE = MergeTree ORDER BY a "
    "SETTINGS disk = disk(type = local_blob_storage, path = '{file}/')",
    "CREATE TABLE outside (a String) ENGINE = MergeTree ORDER BY a "
    "SETTINGS disk/**/=/**/`d\\x69sk`(type = web, endpoint = 'http://127.0.0.1:{port}/x/')",
    "SELECT aiGenerate('a', map('endpoint', 'http://127.0.0.1:{port}/x'))",
    "CREATE TEMPORARY TABLE outside (a String) ENGINE = EmbeddedRocksDB(0, '{file}') PRIMARY KEY a",
    "ALTER TABLE pairs MODIFY SETTING disk = disk(type = web, endpoint = 'http://127.0.0.1:1/')",
]
"""Statements that would leave the engine, for which it asks no grant."""


@pytest.mark.parametrize("statement", WITHOUT_GRANT)
def test_a_statement_without_a_grant_is_refused_by_the_front(
    pairs: Front, tmp_path: Path, statement: str
) -> None:
    written = tmp_path / "written"
    answer = outside(pairs, statement, written)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "497")
    assert not written.exists()


def test_only_table_engines_of_the_grants_can_be_used(front: Front) -> None:
    users = files("local_stack.clickhouse") / "configuration" / "users.xml"
    granted = set(re.findall(r"TABLE ENGINE ON (\w+)", users.read_text()))
    engines = front.text("SELECT name FROM system.table_engines").split()
    answers = {
        name: front.ask(f"CREATE TABLE outside (a String) ENGINE = {name}").text
        for name in set(engines) - granted
    }
    assert answers
    assert [name for name, told in answers.items() if "ACCESS_DENIED" not in told] == []


def test_a_column_may_have_the_name_of_a_clause_or_a_disk(front: Front) -> None:
    assert front.text("SELECT engine FROM system.tables WHERE engine = 'File'") == ""
    assert front.text("SELECT count(disk_name), max(disk_name) = 'x' FROM system.parts")
    assert front.text("SELECT 1 AS disk, 2 AS engine ORDER BY disk, engine") == "1\t2"


@pytest.mark.parametrize("rows", ["('1', file('/etc/passwd'))", "(1, `fil\\x65`('/etc/passwd'))"])
def test_no_inserted_value_reaches_files_or_other_servers(pairs: Front, rows: str) -> None:
    assert pairs.ask(f"INSERT INTO pairs VALUES {rows}").status_code == 403
    assert pairs.insert("INSERT INTO pairs FORMAT Values", rows).status_code == 403
    many = ", ".join(["(1, 'x')"] * 20_000)
    assert pairs.insert("INSERT INTO pairs FORMAT Values", f"{many}, {rows}").status_code == 403
    assert pairs.text("SELECT count() FROM pairs") == "0"


def test_no_external_table_reaches_files_or_other_servers(front: Front) -> None:
    done = front.curl(
        f"{front.url}?query=SELECT+*+FROM+t",
        *("-F", "t=@-"),
        *("-F", "t_structure=a String, b String DEFAULT file('/etc/passwd')"),
        given=b"x",
    )
    assert b"ACCESS_DENIED" in done.stdout


def test_columns_and_values_may_have_the_name_of_a_refused_function(front: Front) -> None:
    front.text("CREATE TABLE named (file String, n UInt8) ENGINE = MergeTree ORDER BY file")
    try:
        front.text("INSERT INTO named (file, n) SELECT 'file(', 1")
        front.text("INSERT INTO named VALUES ('a file (x)', 1 + 1)")
        assert front.text("SELECT file, n FROM named WHERE file = 'file('") == "file(\t1"
        assert front.text("SELECT max(file), concat(named.file, '!') FROM named GROUP BY file, n")
    finally:
        front.text("DROP TABLE named SYNC")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "attacker.example"),
        ("Host", "127.0.0.1.attacker.example:8123"),
        ("Host", "["),
        ("Origin", "http://attacker.example"),
        ("Origin", "http://127.0.0.1"),
        ("Origin", "null"),
    ],
)
@pytest.mark.parametrize("path", ["", "ping"])
def test_requests_of_web_pages_are_refused(front: Front, name: str, value: str, path: str) -> None:
    answer = requests.post(
        front.url + path, data="SELECT 1", headers={name: value}, auth=front.login, timeout=10
    )
    assert answer.status_code == 403
    assert "\n" not in answer.text.rstrip("\n")


@pytest.mark.parametrize("names", [("localhost", "attacker.example"), ("localhost", "localhost")])
def test_requests_with_two_hosts_are_refused(front: Front, names: tuple[str, str]) -> None:
    """Neither the first nor the last of them counts."""
    with socket.create_connection((front.host, front.port), timeout=10) as connection:
        hosts = "".join(f"Host: {name}\r\n" for name in names)
        login = f"Authorization: {authorization(*front.login)}\r\n"
        connection.sendall(f"GET /?query=SELECT+1 HTTP/1.1\r\n{hosts}{login}\r\n".encode())
        status = connection.makefile("rb").readline()
    assert status.startswith(b"HTTP/1.1 403 ")


def test_requests_without_the_password_are_refused(front: Front) -> None:
    answer = requests.post(front.url, data="SELECT 1", timeout=10)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
