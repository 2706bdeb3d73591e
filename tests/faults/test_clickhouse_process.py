"""The ClickHouse front as a process: started, started twice, told to end, killed, started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import clickhouse_connect
import pytest
import requests
from clickhouse_connect.driver.exceptions import DatabaseError

from local_stack.ports import distinct_free_ports

LOGIN = {"user": "default", "password": "s3cret ü"}
WITH_PASSWORD = {**os.environ, "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD": LOGIN["password"]}
KEPT = "kept (a UInt64) ENGINE = MergeTree ORDER BY a"


def command(folder: Path, port: int, *more: str) -> list[str]:
    arguments = ["--data-dir", str(folder), "--port", str(port), *more]
    return [sys.executable, "-m", "local_stack.clickhouse", *arguments]


class Server:
    """A front that was started, and its address."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}/"

    def ask(self, query: str, **parameters: str) -> str:
        answer = requests.post(self.url, params={**LOGIN, **parameters}, data=query, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text.rstrip("\n")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def started(folder: Path, *more: str, **environment: str) -> Iterator[Server]:
    [port] = distinct_free_ports(1)
    with subprocess.Popen(
        command(folder, port, *more), env={**WITH_PASSWORD, **environment}
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", process)
            yield Server(process, port)
        finally:
            process.kill()


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if requests.get(address, timeout=10).ok:
                return
        except requests.ConnectionError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_data_survives_a_restart_after_any_kind_of_end(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    with started(folder) as server:
        server.ask(f"CREATE TABLE {KEPT}")
        server.ask("INSERT INTO kept VALUES (1)")
        assert server.end(signal.SIGTERM) == 0
    with started(folder) as server:
        server.ask("INSERT INTO kept VALUES (2)")
        assert server.end(signal.SIGINT) == 0
    with started(folder) as server:
        server.ask("INSERT INTO kept VALUES (3)")
        server.end(signal.SIGKILL)
    with started(folder) as server:
        assert server.ask("SELECT groupArray(a) FROM (SELECT a FROM kept ORDER BY a)") == "[1,2,3]"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_second_start_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        [port] = distinct_free_ports(1)
        second = subprocess.run(
            command(tmp_path, port), capture_output=True, text=True, env=WITH_PASSWORD
        )
        assert second.returncode == 3
        assert f"{tmp_path} is in use by process {server.process.pid}." in second.stderr
        assert server.ask("SELECT 1") == "1"


def test_a_port_in_use_is_reported(tmp_path: Path) -> None:
    with started(tmp_path / "first") as server:
        second = subprocess.run(
            command(tmp_path / "second", server.port),
            capture_output=True,
            text=True,
            env=WITH_PASSWORD,
        )
    assert second.returncode == 4
    assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in second.stderr


@pytest.mark.parametrize("name", ["file/x", "what?"])
def test_an_unusable_folder_is_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    failed = subprocess.run(
        command(tmp_path / name, 1), capture_output=True, text=True, env=WITH_PASSWORD
    )
    assert failed.returncode == 5
    assert "cannot use the data folder" in failed.stderr


def test_only_requests_with_the_password_are_answered(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(started(tmp_path, "--user", "someone"))
        client = clickhouse_connect.get_client(
            port=server.port, username="someone", password="s3cret ü"
        )
        assert stack.enter_context(client).command("SELECT 1") == 1
        with pytest.raises(DatabaseError, match="516"):
            clickhouse_connect.get_client(port=server.port, username="someone", password="wrong")
        given = {"X-ClickHouse-User": "someone", "X-ClickHouse-Key": "wrong"}
        for parameters, headers in (
            ({}, {}),
            ({"user": "someone", "password": "wrong"}, {}),
            ({"user": "default", "password": "s3cret ü"}, {}),
            ({}, given),
            ({}, {"Authorization": "Bearer s3cret"}),
        ):
            query = {"query": "SELECT 1", **parameters}
            answer = requests.get(server.url, params=query, headers=headers, timeout=10)
            assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (
                403,
                "516",
            )
        assert server.ask("SELECT 1", user="someone", password="s3cret ü") == "1"


def test_a_stop_ends_running_statements_and_commits_no_partial_insert(tmp_path: Path) -> None:
    answers: list[int] = []

    def insert() -> None:
        query = {"query": "INSERT INTO kept FORMAT TSV"}
        with requests.Session() as session:
            try:
                answers.append(
                    session.post(server.url, params={**LOGIN, **query}, data=rows()).status_code
                )
            except requests.ConnectionError:
                answers.append(0)

    def rows() -> Iterator[bytes]:
        yield b"1\n" * 100_000
        begun.set()
        ended.wait(30)

    begun, ended = threading.Event(), threading.Event()
    with started(tmp_path) as server:
        server.ask(f"CREATE TABLE {KEPT}")
        writer = threading.Thread(target=insert)
        writer.start()
        assert begun.wait(30)
        endless = "SELECT number FROM numbers(1000000000000)"
        with requests.post(
            server.url, params=LOGIN, data=endless, stream=True, timeout=30
        ) as reading:
            next(reading.iter_content(1))
            assert server.end() == 0
        ended.set()
        writer.join()
    assert answers in ([0], [500])
    with started(tmp_path) as server:
        assert server.ask("SELECT count() FROM kept") == "0"


def test_acknowledged_inserts_survive_a_kill_exactly_once(tmp_path: Path) -> None:
    tokens = {
        "insert_deduplicate": "1",
        "deduplicate_blocks_in_dependent_materialized_views": "1",
        "max_insert_threads": "1",
    }
    window = "SETTINGS non_replicated_deduplication_window = 1000"
    acknowledged = 0

    def write(server: Server, block: int) -> None:
        query = f"INSERT INTO kept SELECT {block} * 1000 + number FROM numbers(1000)"
        server.ask(query, insert_deduplication_token=str(block), **tokens)

    def write_on(server: Server) -> None:
        nonlocal acknowledged
        while True:
            write(server, acknowledged)
            acknowledged += 1

    for _ in range(2):
        with started(tmp_path) as server:
            server.ask(f"CREATE TABLE IF NOT EXISTS {KEPT} {window}")
            server.ask(
                "CREATE TABLE IF NOT EXISTS counted (one UInt8, n AggregateFunction(count)) "
                f"ENGINE = AggregatingMergeTree ORDER BY one {window}"
            )
            server.ask(
                "CREATE MATERIALIZED VIEW IF NOT EXISTS counts TO counted AS "
                "SELECT 1 AS one, countState() AS n FROM kept GROUP BY one"
            )
            killer = threading.Timer(0.3, server.process.kill)
            killer.start()
            # The block that the kill cut off is written again, under its own token.
            with pytest.raises(requests.ConnectionError):
                write_on(server)
            killer.join()
    with started(tmp_path) as server:
        write(server, acknowledged)
        counts = "SELECT count(), uniqExact(a), (SELECT countMerge(n) FROM counted) FROM kept"
        rows = (acknowledged + 1) * 1000
        assert server.ask(counts) == f"{rows}\t{rows}\t{rows}"


def test_the_server_does_not_start_without_a_password(tmp_path: Path) -> None:
    environment = {**os.environ, "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD": ""}
    failed = subprocess.run(command(tmp_path, 1), capture_output=True, text=True, env=environment)
    assert failed.returncode == 2
    assert "FRAISEQL_LOCAL_CLICKHOUSE_PASSWORD is not set" in failed.stderr


def test_a_setting_lets_statements_read_and_write_files(tmp_path: Path) -> None:
    written = tmp_path / "written"
    with started(tmp_path / "data", FRAISEQL_CLICKHOUSE_EXTERNAL_SOURCES="true") as server:
        server.ask(f"INSERT INTO FUNCTION file('{written}', 'TSV', 'a UInt8') SELECT 7")
        assert server.ask(f"SELECT file('{written}')") == "7\\n"


def test_tables_of_an_older_release_are_readable(tmp_path: Path) -> None:
    older = (
        "from chdb.session import Session\n"
        f"session = Session({f'{tmp_path}/store?implicit_select=0'!r})\n"
        f"session.query('CREATE TABLE {KEPT}')\n"
        "session.query('INSERT INTO kept VALUES (7)')\n"
    )
    subprocess.run([sys.executable, "-c", older], check=True)
    for count in (1, 2):
        with started(tmp_path) as server:
            assert server.ask("SELECT count(), max(a) FROM kept") == f"{count}\t7"
            server.ask("INSERT INTO kept VALUES (1)")
            server.end()
