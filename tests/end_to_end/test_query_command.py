"""`fraiseql-assets query`, against a Flight service over a real database.

All tests share one service and database, so the file is longer than others.
"""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import adbc_driver_postgresql.dbapi as postgresql
import graphql_shop as shop
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from command_line import invoke
from flights import Service, environment, serving
from pydantic import SecretStr
from typer.testing import Result

from fraiseql_assets.settings import Settings

SECONDS = 60
AUTHORS = (
    "{ authors(orderBy: {id: ASC}) { id name age score balance active born wakes joinedAt "
    "followers meta tags place { city zip } } }"
)
ENDLESS = "{ things { id needed } }"


@pytest.fixture(scope="module")
def service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    shop.create(database_url)
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(
            "INSERT INTO graphql_tests.tv_thing "
            """VALUES (1, '{"id": 1, "needed": "x", "number": "NaN"}')"""
        )
    path = shop.write_schema(tmp_path_factory.mktemp("schema"))
    settings = Settings(database_url=SecretStr(database_url), schema_path=path, batch_rows=30)
    with serving(settings) as service:
        yield service


@pytest.fixture(scope="module")
def endless(
    service: Service, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service whose one query gives nine million rows."""
    path = shop.create_endless(database_url, tmp_path_factory.mktemp("schema"))
    with serving(service.settings, schema_path=path, batch_rows=1000) as endless:
        yield endless


def variables(service: Service) -> dict[str, str]:
    url = service.settings.flight_url
    return {**environment(Settings(flight_url=url)), "COLUMNS": "120", "TERM": "xterm"}


def run(service: Service, *arguments: str, stdin: str | None = None) -> Result:
    return invoke(variables(service), "query", *arguments, stdin=stdin)


def written(service: Service, *arguments: str) -> bytes:
    done = run(service, *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout_bytes


def over_http(service: Service, query: str) -> dict[str, Any]:
    url = f"{service.settings.http_url}/graphql"
    answer = requests.post(url, json={"query": query}, timeout=SECONDS).json()
    assert "errors" not in answer
    return answer["data"]


@contextmanager
def started(
    service: Service, *arguments: str, **streams: int | IO[str]
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    program = "from fraiseql_assets.cli.main import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "query", *arguments],
        env=variables(service),
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(holds: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "query",
    [
        AUTHORS,
        "{ authors(limit: 0) { id } }",
        '{ author(id: "00000000-0000-0000-0000-000000000001") { id meta tags } }',
        '{ author(id: "none") { id } }',
        "{ posts(limit: 9) { id price author { id tags } comments { body replies { body } } } }",
        "{ authorPages(first: 2) { edges { cursor node { id meta } } pageInfo { hasNextPage } } }",
        "{ beasts { __typename ... on Dog { barks name } ... on Cat { kind: __typename lives } } }",
        "{ pets { id ... on Dog { n: barks } ... on Cat { n: lives } } }",
    ],
)
def test_json_of_one_root_field_is_its_value_over_http(service: Service, query: str) -> None:
    [held] = over_http(service, query).values()
    assert json.loads(written(service, query, "--format", "json")) == held


@pytest.mark.parametrize(
    "query",
    [
        '{ a: authors(limit: 1) { id meta } b: author(id: "none") { id } pets { id } }',
        '{ __typename __type(name: "Place") { fields { name } } }',
    ],
)
def test_json_of_several_root_fields_is_the_data_over_http(service: Service, query: str) -> None:
    assert json.loads(written(service, query, "--format", "json")) == over_http(service, query)


def test_one_of_several_root_fields_is_selected(service: Service) -> None:
    query = "{ a: authors(limit: 2) { id } pets { id } }"
    picked = written(service, query, "--field", "a", "--format", "json")
    assert json.loads(picked) == over_http(service, query)["a"]


def test_a_csv_has_a_column_for_each_scalar(service: Service) -> None:
    query = "{ authors(orderBy: {id: ASC}, limit: 3) { name age tags place { city zip } } }"
    rows = list(csv.DictReader(io.StringIO(written(service, query, "--format", "csv").decode())))
    assert rows == [
        {
            "name": one["name"],
            "age": str(one["age"]),
            "tags": "" if one["tags"] is None else json.dumps(one["tags"], separators=(",", ":")),
            "place.city": one["place"]["city"],
            "place.zip": str(one["place"]["zip"]),
        }
        for one in over_http(service, query)["authors"]
    ]


def test_an_empty_csv_has_its_header(service: Service) -> None:
    query = "{ authors(limit: 0) { id place { zip } tags } }"
    assert written(service, query, "--format", "csv") == b'"id","place.zip","tags"\n'


def test_arrow_and_parquet_hold_the_rows_in_their_types(service: Service, tmp_path: Path) -> None:
    arrow = pa.ipc.open_stream(written(service, AUTHORS, "--format", "arrow")).read_all()
    path = tmp_path / "authors.parquet"
    written(service, AUTHORS, "-o", str(path))
    assert pq.read_table(path).equals(arrow)
    assert arrow.num_rows == 60
    assert arrow.schema.field("balance").type == pa.decimal128(12, 2)


def test_a_parquet_file_joins_small_batches(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "authors.parquet"
    written(service, AUTHORS, "-o", str(path))
    assert pq.ParquetFile(path).num_row_groups == 1


@pytest.mark.parametrize("suffix", ["json", "csv", "arrow", "arrows"])
def test_the_suffix_of_a_file_is_its_format(service: Service, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"authors.{suffix}"
    assert written(service, AUTHORS, "-o", str(path)) == b""
    asked = written(service, AUTHORS, "--format", suffix.removesuffix("s"))
    assert path.read_bytes() == asked


def test_an_explicit_format_overrides_the_suffix(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "authors.csv"
    written(service, AUTHORS, "-o", str(path), "--format", "json")
    assert len(json.loads(path.read_bytes())) == 60


def test_a_table_has_one_line_per_row(service: Service) -> None:
    lines = written(service, "{ authors(limit: 2) { id age } }").decode().splitlines()
    assert [line.strip("│").split("│")[1].strip() for line in lines[3:-1]] == ["1", "2"]


def test_a_table_shows_exact_decimals(service: Service) -> None:
    query = "{ authors(orderBy: {id: ASC}, limit: 2, offset: 8) { balance } }"
    lines = written(service, query).decode().splitlines()
    assert [line.strip("│").strip() for line in lines[3:-1]] == ["9.90", "11.00"]


def test_a_table_of_several_root_fields_says_how_to_select_one(service: Service) -> None:
    done = run(service, "{ authors(limit: 1) { id } pets(limit: 1) { id } }")
    assert done.stderr == "These are several fields. --field NAME shows the rows of one.\n"


def test_an_empty_table_says_so(service: Service) -> None:
    done = run(service, "{ authors(limit: 0) { id } }")
    assert (done.exit_code, done.stderr) == (0, "There are no rows.\n")


def test_a_long_table_shows_the_number_of_further_rows(service: Service) -> None:
    done = run(service, "{ posts(limit: 110) { id } }")
    assert len(done.stdout.splitlines()) == 100 + 4
    assert done.stderr.startswith("The first 100 of 110 rows are shown. -o FILE writes them all")


def test_a_table_stops_reading_at_its_limit_and_says_so(
    endless: Service, database_url: str
) -> None:
    done = run(endless, ENDLESS)
    assert len(done.stdout.splitlines()) == 100 + 4
    assert done.stderr.startswith("The first 100 rows are shown, and reading stopped with them.")
    shop.until_stopped(database_url)


def test_the_document_comes_from_standard_input_or_a_file(service: Service, tmp_path: Path) -> None:
    query = "query Q($n: Int) { authors(limit: $n) { id } } query R { pets { id } }"
    path = tmp_path / "query.graphql"
    path.write_text(query)
    asked = ["--format", "json", "--operation", "Q", "--variables", '{"n": 3}']
    for document, stdin in (("-", query), (f"@{path}", None)):
        done = run(service, document, *asked, stdin=stdin)
        assert len(json.loads(done.stdout)) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{ authors { nam } }"], "Cannot query field 'nam' on type 'Author'"),
        (["{ authors { id }"], "Syntax Error"),
        (["{ authors { id } }", "--field", "b"], "The query has no field 'b' at its top; it has"),
        (["{ authors { id } }", "--operation", "Q"], "The document has no operation 'Q'"),
        (["{ secrets { id } }"], "Secret needs the role 'admin'"),
        (["{ secrets { id } }", "--explain"], "needs the role 'admin'"),
        (["{ authors { nam } }", "--explain"], "Cannot query field 'nam' on type 'Author'"),
        (["{ things { number } }", "--format", "json"], "number is nan, which is no number in JSO"),
        (["{ authors { id } }", "-o", "/none/a.csv"], "/none/a.csv cannot be written: No such"),
        (['mutation { rename(id: "x") { id } }'], "Only FraiseQL executes a mutation."),
    ],
)
def test_an_error_is_one_line(service: Service, arguments: list[str], sentence: str) -> None:
    done = run(service, *arguments)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert done.stderr.startswith("✗ ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{ a }", "-o", "rows.txt"], "does not say its format"),
        (["{ a }", "-o", "a.csv", "--format", "table"], "--format"),
        (["{ a }", "--variables", "{"], "is no JSON"),
        (["{ a }", "--variables", "[]"], "no JSON object"),
        (["@/none.graphql"], "/none.graphql cannot be read"),
        (["{ a }", "--explain", "-o", "a.csv"], "--explain"),
    ],
)
def test_invalid_options_are_refused_before_any_request(
    service: Service, arguments: list[str], words: str
) -> None:
    done = run(service, *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_failed_query_leaves_the_file_unchanged(endless: Service, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "things.json"
    path.write_text("before")
    with serving(endless.settings, graphql_max_rows=30_000) as limited:
        done = run(limited, ENDLESS, "-o", str(path))
    assert done.exit_code == 1
    assert "FRAISEQL_GRAPHQL_MAX_ROWS" in done.stderr
    assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("things.json", "before")]


def test_ctrl_c_cancels_the_query_and_leaves_no_partial_file(
    endless: Service, database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with started(endless, ENDLESS, "-o", str(folder / "things.csv")) as process:
        until(lambda: any(one.stat().st_size for one in folder.iterdir()))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=SECONDS)
    assert (process.returncode, told) == (130, "stopped\n")
    assert list(folder.iterdir()) == []
    shop.until_stopped(database_url)


@pytest.mark.parametrize("format_", ["csv", "json", "arrow", "parquet"])
def test_a_closed_pipe_ends_the_query_without_an_error(
    endless: Service, database_url: str, format_: str
) -> None:
    with started(endless, ENDLESS, "--format", format_) as process:
        assert process.stdout
        assert process.stderr
        assert os.read(process.stdout.fileno(), 10)
        process.stdout.close()
        told = process.stderr.read()
        process.wait(SECONDS)
    assert told == ""
    shop.until_stopped(database_url)


@pytest.mark.parametrize("format_", ["arrow", "parquet"])
def test_no_binary_format_is_written_to_a_terminal(service: Service, format_: str) -> None:
    terminal, stdout = pty.openpty()
    with started(service, AUTHORS, "--format", format_, stdout=stdout) as process:
        os.close(stdout)
        _, told = process.communicate(timeout=SECONDS)
    os.close(terminal)
    assert process.returncode == 1
    assert told == (
        f"✗ {format_} is binary, which no terminal shows. "
        "Write it to a file with -o, or hand it on through a pipe.\n"
    )


def test_a_long_read_shows_its_progress_on_a_terminal(endless: Service, tmp_path: Path) -> None:
    terminal, stderr = pty.openpty()
    with started(endless, ENDLESS, "-o", str(tmp_path / "things.json"), stderr=stderr):
        os.close(stderr)
        seen = b""
        while b"000 rows" not in seen:
            seen += os.read(terminal, 1000)
    os.close(terminal)


def test_an_explained_plan_has_source_reasons_values_and_schema(service: Service) -> None:
    query = '{ authors(where: {name: {eq: "it\'s"}}, limit: 5) { id place { zip } } }'
    said = written(service, query, "--explain").decode()
    assert said.startswith(
        "authors is read from graphql_tests.v_author: the expressions under its data\n"
        "  left out: there is no graphql_tests.ta_author\n"
        "  left out: the flat relation graphql_tests.va_author: graphql_tests.va_author has no "
        "column for place\n"
        "  SQL:\n"
        "    SELECT\n"
    )
    assert said.endswith(
        '    fraiseql.p1 = "it\'s"\n'
        "\n"
        "Arrow schema:\n"
        "  id: string not null\n"
        "  place: struct<zip: int32>\n"
    )


def test_an_explained_plan_has_every_root_field(service: Service) -> None:
    said = written(
        service, "{ authors { id } storedAuthors { place { zip } } pets { id } }", "--explain"
    )
    roots = [line for line in said.decode().splitlines() if " is read from " in line]
    assert roots == [
        "authors is read from graphql_tests.va_author: the flat relation",
        "storedAuthors is read from graphql_tests.tv_author: documents, and the typed columns "
        "beside them",
        "pets is read from graphql_tests.tv_pet: documents, and the typed columns beside them",
    ]
