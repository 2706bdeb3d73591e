import pytest

from local_stack.clickhouse.errors import QueryError
from local_stack.clickhouse.statement import parse


@pytest.mark.parametrize(
    ("text", "kind", "head", "named", "tail"),
    [
        (b"SELECT 1", "query", "SELECT 1", None, ""),
        (b"  -- first\nselect 1 ; ", "query", "  -- first\nselect 1", None, ""),
        (b"SELECT 1 FORMAT JSON", "query", "SELECT 1 ", "JSON", ""),
        (b"SELECT 1\nFORMAT TSV;", "query", "SELECT 1\n", "TSV", ""),
        (b"SELECT 1 FORMAT CSV SETTINGS a=1", "query", "SELECT 1 ", "CSV", " SETTINGS a=1"),
        (b"SELECT 1 SETTINGS a = 1 FORMAT CSV", "query", "SELECT 1 SETTINGS a = 1 ", "CSV", ""),
        (b"SELECT ' FORMAT JSON'", "query", "SELECT ' FORMAT JSON'", None, ""),
        (b"SELECT 1 /* FORMAT JSON */", "query", "SELECT 1", None, ""),
        (b"SELECT `format` FROM t", "query", "SELECT `format` FROM t", None, ""),
        (b"SELECT format AS f FROM t", "query", "SELECT format AS f FROM t", None, ""),
        (b"SELECT t.format x FROM t", "query", "SELECT t.format x FROM t", None, ""),
        (b"SELECT (SELECT 1 FORMAT CSV)", "query", "SELECT (SELECT 1 FORMAT CSV)", None, ""),
        (b"WITH 1 AS x SELECT x", "query", "WITH 1 AS x SELECT x", None, ""),
        (b"(SELECT 1) UNION ALL SELECT 2", "query", "(SELECT 1) UNION ALL SELECT 2", None, ""),
        (b"FROM t SELECT a", "query", "FROM t SELECT a", None, ""),
        (b"SHOW TABLES FORMAT CSV", "read", "SHOW TABLES ", "CSV", ""),
        (b"EXISTS TABLE t", "read", "EXISTS TABLE t", None, ""),
        (b"USE d", "read", "USE d", None, ""),
        (b"CREATE TABLE t (a UInt8)", "command", "CREATE TABLE t (a UInt8)", None, ""),
        (b"INSERT INTO t SELECT 1", "command", "INSERT INTO t SELECT 1", None, ""),
        (b"INSERT INTO t WITH 1 AS x SELECT x", "command",
         "INSERT INTO t WITH 1 AS x SELECT x", None, ""),
        (b"WITH 1 AS x INSERT INTO t SELECT x", "command",
         "WITH 1 AS x INSERT INTO t SELECT x", None, ""),
    ],
)  # fmt: skip
def test_a_statement_without_inline_rows_is_parsed(
    text: bytes, kind: str, head: str, named: str | None, tail: str
) -> None:
    statement = parse(text)
    assert (statement.kind, statement.head, statement.format, statement.tail) == (
        kind,
        head,
        named,
        tail,
    )


@pytest.mark.parametrize(
    ("text", "head", "named", "rows"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t ", "CSV", b"\n1"),
        (b"insert into t (a, b) format TSKV a=1", "insert into t (a, b) ", "TSKV", b"a=1"),
        (b"INSERT INTO t FORMAT RowBinary\n'\"`(", "INSERT INTO t ", "RowBinary", b"'\"`("),
        (b"INSERT INTO t VALUES ('; SELECT')", "INSERT INTO t ", "Values", b" ('; SELECT')"),
        (b"INSERT INTO t SETTINGS x = 1 FORMAT TSV", "INSERT INTO t SETTINGS x = 1 ", "TSV", b""),
        (b"INSERT INTO `values` FORMAT TSV", "INSERT INTO `values` ", "TSV", b""),
        (b"INSERT INTO values FORMAT TSV", "INSERT INTO values ", "TSV", b""),
        (b"INSERT INTO TABLE format VALUES", "INSERT INTO TABLE format ", "Values", b""),
        (b"INSERT INTO d.select FORMAT TSV", "INSERT INTO d.select ", "TSV", b""),
        (b"INSERT INTO FUNCTION f('x') FORMAT TSV", "INSERT INTO FUNCTION f('x') ", "TSV", b""),
        (b"INSERT INTO t (a)", "INSERT INTO t (a)", None, b""),
        (b"INSERT INTO t FORMAT Native\n\xff\xfe", "INSERT INTO t ", "Native", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_an_insert_is_separated_from_its_rows(
    text: bytes, head: str, named: str | None, rows: bytes
) -> None:
    statement = parse(text)
    assert (statement.kind, statement.text, statement.format, statement.rows) == (
        "rows",
        head,
        named,
        rows,
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 62),
        (b" -- nothing\n", 62),
        (b";", 62),
        (b"SELECT 1; DROP TABLE t", 62),
        (b"SELECT 1 INTO OUTFILE 'x'", 480),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", 78),
        (b"SELECT '\xff'", 36),
    ],
)
def test_a_statement_that_a_server_does_not_have_is_refused(text: bytes, code: int) -> None:
    with pytest.raises(QueryError) as refused:
        parse(text)
    assert refused.value.code == code


def test_the_text_of_a_statement_keeps_its_format_and_settings() -> None:
    assert parse(b"SHOW TABLES FORMAT CSV SETTINGS a = 1;").text == (
        "SHOW TABLES  FORMAT CSV SETTINGS a = 1"
    )
