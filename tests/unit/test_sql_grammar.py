"""The grammar of Flight SQL: accepted statements only read relations and compute.

Accepted and refused statements are listed, so the file is longer than others.
"""
# ruff: noqa: E501 [statements stay on one line]

import pytest
import sqlglot
from hypothesis import example, given
from hypothesis import strategies as st
from sqlglot import ErrorLevel, exp

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Dialect
from flight_service.sql.grammar import check, functions, parse, written
from flight_service.sql.relations import folded, replaced

DIALECTS: tuple[Dialect, ...] = ("clickhouse", "postgres")

GOOD: list[tuple[Dialect, str]] = [
    *[
        (dialect, sql)
        for dialect in DIALECTS
        for sql in (
            "SELECT 1",
            "SELECT a, b AS c, count(*) FROM t WHERE a > 1 AND NOT (b = 'x' OR c IS NULL) GROUP BY a",
            "SELECT t.a FROM t JOIN u ON t.a = u.a LEFT JOIN v USING (a) ORDER BY 1 DESC LIMIT 5",
            "WITH x AS (SELECT 1 AS a), y AS (SELECT a FROM x) SELECT * FROM y UNION ALL SELECT 2",
            "SELECT CASE WHEN a THEN 1 ELSE 2 END, a BETWEEN 1 AND 2, a IN (1, 2), a LIKE 'x%' FROM t",
            "SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
            " FROM t",
            "SELECT a FROM t WHERE b IN (SELECT b FROM u) AND EXISTS (SELECT 1 FROM v)",
            "SELECT CAST(a AS BIGINT), a || 'x', -a, a % 2 FROM t WHERE a = ? LIMIT ?",
        )
    ],
    ("clickhouse", "SELECT toStartOfHour(a), uniqExactIf(a, b), quantile(0.9)(a), sumOrNull(a) FROM t"),
    ("clickhouse", "SELECT * EXCEPT (a), m['k'], arrayMap(x -> x + 1, b) FROM t LIMIT 1 BY a"),
    ("clickhouse", "WITH 5 AS n SELECT JSONExtractString(data, 'a'), n FROM t WHERE toDate(a) = today()"),
    ("postgres", "SELECT a->>'b', a #>> '{b,c}', date_trunc('day', b), a::numeric(10, 2) FROM t"),
    ("postgres", "SELECT count(*) FILTER (WHERE a > 1), string_agg(a, ',' ORDER BY b) FROM t"),
    ("postgres", "SELECT extract(epoch FROM a), a AT TIME ZONE 'UTC', now() - interval '1 day' FROM t"),
    ("postgres", "SELECT a FROM t WHERE b = $1 AND c = $2 AND d = ANY(ARRAY[1, 2])"),
    ("postgres", "WITH RECURSIVE x AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM x) SELECT a FROM x"),
]  # fmt: skip

EVIL: list[tuple[Dialect, str]] = [
    *[
        (dialect, sql)
        for dialect in DIALECTS
        for sql in (
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t SELECT 1",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "DROP TABLE t",
            "TRUNCATE TABLE t",
            "CREATE TABLE x AS SELECT 1",
            "ALTER TABLE t ADD COLUMN a INT",
            "SELECT 1; SELECT 2",
            "SELECT 1; DROP TABLE t",
            "SELECT 1 -- \n; DROP TABLE t",
            "SET readonly = 0",
            "EXPLAIN SELECT 1",
            "DESCRIBE t",
            "SHOW TABLES",
            "USE x",
            "GRANT ALL ON t TO x",
            "WITH x AS (DELETE FROM t) SELECT * FROM x",
            "WITH x AS (INSERT INTO t VALUES (1)) SELECT * FROM x",
            "SELECT * FROM (DELETE FROM t) AS x",
            "SELECT unknown_function(1)",
            "SELECT current_user",
            "SELECT version()",
            "VALUES (1)",
            "",
            "  ",
            ";",
            "-- nothing",
            "SELECT 'a\0b'",
        )
    ],
    *[
        ("clickhouse", sql)
        for sql in (
            "SELECT * FROM file('/etc/passwd')",
            "SELECT * FROM url('http://x', CSV, 'a Int')",
            "SELECT * FROM s3('http://x')",
            "SELECT * FROM remote('x', system.one)",
            "SELECT * FROM mysql('a', 'b', 'c', 'd', 'e')",
            "SELECT * FROM postgresql('a', 'b', 'c', 'd', 'e')",
            "SELECT * FROM executable('x', CSV, 'a Int')",
            "SELECT * FROM merge('default', '.*')",
            "SELECT * FROM cluster('x', system.one)",
            "SELECT * FROM numbers(10)",
            "SELECT * FROM input('a Int')",
            "SELECT * FROM view(SELECT 1)",
            "SELECT * FROM values('a Int', 1)",
            "SELECT a FROM t INTO OUTFILE '/tmp/x'",
            "SELECT a FROM t INTO OUTFILE '/tmp/x' FORMAT CSV",
            "SELECT a FROM t FORMAT CSV",
            "SELECT a FROM t SETTINGS readonly = 0",
            "SELECT a FROM (SELECT a FROM t SETTINGS max_threads = 1)",
            "SELECT a FROM t SETTINGS additional_table_filters = {}",
            "SELECT a FROM t FINAL SAMPLE 0.1",
            "SELECT file('/etc/passwd')",
            "SELECT dictGet('d', 'a', 1)",
            "SELECT joinGet('t', 'a', 1)",
            "SELECT hasColumnInTable('a', 'b', 'c')",
            "SELECT catboostEvaluate('/x', 1)",
            "SELECT evalMLMethod(a, 1) FROM t",
            "SELECT sleep(3)",
            "SELECT sleepEachRow(3)",
            "SELECT getSetting('x'), getMacro('y'), hostName(), getServerSetting('z')",
            "SELECT currentDatabase()",
            "SELECT executeQuery('SELECT 1')",
            "SELECT aiGenerate('x')",
            "SELECT a FROM t WHERE a IN u",
            "SELECT a FROM t WHERE a IN (u)",
            "SELECT a FROM t WHERE a IN ((u))",
            "SELECT a FROM t WHERE a NOT IN u",
            "SELECT a FROM t WHERE a GLOBAL IN u",
            "SELECT a FROM t WHERE in(a, u)",
            "SELECT a FROM t WHERE notIn(a, u)",
            "SELECT a FROM t WHERE nullIn(a, u)",
            "SELECT COLUMNS('.*') FROM t",
            "SELECT a->>'b/*' FROM t",
            'SELECT "a\\\\" FROM t',
            "SELECT `a\\\\` FROM t",
            'SELECT 1 AS "a\\\\", 2 AS " FROM system.one -- "',
            "SELECT \u2018a\u2019 FROM t WHERE sleep\u2019(3)",
            "SELECT {p:Identifier}",
            "SELECT * FROM {t:Identifier}",
            "SYSTEM RELOAD CONFIG",
            "KILL QUERY WHERE 1",
            "ATTACH TABLE t",
            "OPTIMIZE TABLE t",
            "SELECT CAST(1 AS AggregateFunction(count))",
        )
    ],
    *[
        ("postgres", sql)
        for sql in (
            "COPY t TO '/tmp/x'",
            "COPY t TO PROGRAM 'sh'",
            "COPY (SELECT 1) TO STDOUT",
            "SELECT * INTO x FROM t",
            "SELECT * FROM t FOR UPDATE",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT pg_ls_dir('/')",
            "SELECT lo_import('/etc/passwd')",
            "SELECT pg_sleep(10)",
            "SELECT pg_catalog.pg_sleep(10)",
            'SELECT "pg_sleep"(10)',
            "SELECT set_config('fraiseql.claims', '{}', true)",
            "SELECT current_setting('fraiseql.claims')",
            "SELECT dblink('x', 'y')",
            "SELECT query_to_xml('SELECT 1', true, true, '')",
            "SELECT table_to_xml('t', true, true, '')",
            "SELECT nextval('s')",
            "SELECT pg_terminate_backend(1)",
            "SELECT pg_notify('a', 'b')",
            "SELECT txid_current()",
            "SELECT * FROM generate_series(1, 10)",
            "SELECT * FROM pg_ls_dir('/') AS x",
            "SELECT * FROM json_to_recordset('[]') AS x(a int)",
            "SELECT a::regclass FROM t",
            "SELECT 'pg_authid'::regclass::text",
            "SELECT CAST('x' AS my_type)",
            "SELECT E'\\x41'",
            "SELECT U&'\\0041'",
            "SELECT * FROM ONLY t",
            "SELECT * FROM t TABLESAMPLE SYSTEM (1)",
            "SELECT * FROM ROWS FROM (pg_ls_dir('/')) AS x",
            "SELECT * FROM LATERAL pg_ls_dir('/') AS x",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "LISTEN x",
            "BEGIN",
            "EXECUTE x",
            "PREPARE x AS SELECT 1",
            "LOCK TABLE t",
            "VACUUM",
            "WITH x AS MATERIALIZED (UPDATE t SET a = 1 RETURNING *) SELECT * FROM x",
            "SELECT (SELECT a FROM t FOR SHARE)",
            "SELECT a OPERATOR(pg_catalog.+) 1 FROM t",
        )
    ],
]


def gated(sql: str, dialect: Dialect) -> str:
    """The statement as it would be written for the engine."""
    tree = parse(sql, dialect)
    check(tree, dialect)
    return written(folded(tree, dialect), dialect)


@pytest.mark.parametrize(("dialect", "sql"), GOOD)
def test_statements_that_only_read_are_accepted(dialect: Dialect, sql: str) -> None:
    once = gated(sql, dialect)
    # A parameter is written as the name of a column, which is what the gate then reads.
    assert gated(once, dialect) == once


@pytest.mark.parametrize(("dialect", "sql"), EVIL)
def test_other_statements_are_refused(dialect: Dialect, sql: str) -> None:
    with pytest.raises(InvalidRequest):
        gated(sql, dialect)


@pytest.mark.parametrize(
    ("dialect", "call"),
    [
        ("postgres", """date_part('epoch from now()), pg_sleep(10', "a")"""),
        ("postgres", """date_part('day from a), extract(year', "a")"""),
        ("postgres", """date_trunc('x''y', "a")"""),
        ("postgres", """to_char("a", 'YYYY''x')"""),
        ("clickhouse", """dateDiff('day, sleep(3)', "a", "b")"""),
        ("clickhouse", """date_diff('day, (SELECT 1 FROM u)', "a", "b")"""),
        ("clickhouse", """char_length("a")"""),
        ("clickhouse", """countMatches("a", 'b', 'c')"""),
        ("clickhouse", """JSONExtractString("data", 'it''s')"""),
    ],
)
def test_a_function_call_is_not_rewritten(dialect: Dialect, call: str) -> None:
    """The parser would rename some, drop arguments, or take a unit of time out of its quotes."""
    assert gated(f"SELECT {call} FROM t", dialect) == f'SELECT {call} FROM "t"'


PIECES = st.sampled_from(
    [word for _, sql in (*GOOD, *EVIL) for word in sql.replace("(", " ( ").split()]
)
MADE = st.lists(PIECES, min_size=1, max_size=25).map(" ".join)
CUT = st.builds(
    lambda good, evil, at, to: good[:at] + evil[to:],
    st.sampled_from([sql for _, sql in GOOD]),
    st.sampled_from([sql for _, sql in EVIL]),
    st.integers(0, 60),
    st.integers(0, 40),
)
INSERTED = st.builds(
    lambda good, evil, at: f"{good[:at]}{evil}{good[at:]}",
    st.sampled_from([sql for _, sql in GOOD]),
    st.sampled_from([*(sql for _, sql in EVIL), "'", '"', "`", "\\", "--", "/*", "*/", "$$", ";", "\0"]),
    st.integers(0, 100),
)  # fmt: skip


@given(MADE | CUT | INSERTED | st.text(max_size=50), st.sampled_from(DIALECTS))
@example("SELECT!TOSTARTOFHOUR()", "clickhouse")
def test_any_accepted_statement_only_reads(sql: str, dialect: Dialect) -> None:
    """What passes is read again, by the parser alone, and holds nothing that is not listed."""
    try:
        text = gated(sql, dialect)
    except InvalidRequest:
        return
    # The engine says what arguments a function lacks.
    [tree] = sqlglot.parse(text, read=dialect, error_level=ErrorLevel.IGNORE)
    assert tree is not None
    kinds = {type(node) for node in tree.walk()}
    allowed = functions(dialect)
    assert not kinds & {
        exp.Command, exp.Insert, exp.Update, exp.Delete, exp.Drop, exp.Create, exp.Copy, exp.Set,
        exp.Into, exp.Lock, exp.Alter, exp.Use, exp.Grant, exp.Kill, exp.Merge,
    }  # fmt: skip
    for node in tree.find_all(exp.Anonymous):
        assert node.name.lower() in allowed
    for table in tree.find_all(exp.Table):
        assert isinstance(table.this, exp.Identifier)


@given(st.text(max_size=40), st.sampled_from(DIALECTS))
def test_a_literal_keeps_its_value_in_the_engine(text: str, dialect: Dialect) -> None:
    """A text cannot end its own quotes: the tokens of what is written are the text's alone."""
    tree = sqlglot.parse_one("SELECT 'x'", read=dialect)
    for literal in tree.find_all(exp.Literal):
        literal.set("this", text)
    if "\0" in text:
        return
    sql = written(tree, dialect)
    assert sql.startswith("SELECT '")
    body = sql.removeprefix("SELECT '").removesuffix("'")
    bare = body.replace("\\\\", "") if dialect == "clickhouse" else body
    assert "'" not in bare.replace("''", "").replace(
        "\\'", "" if dialect == "clickhouse" else "\\'"
    )
    if dialect == "clickhouse":
        assert not bare.endswith("\\")


def test_names_of_common_table_expressions_are_replaced() -> None:
    tree = parse(
        "WITH fraiseql_ledger AS (SELECT 1 AS a) SELECT a FROM fraiseql_ledger", "clickhouse"
    )
    check(tree, "clickhouse")
    sql = replaced(tree, {}).sql("clickhouse")
    assert 'FROM "w' in sql
    assert 'AS "fraiseql_ledger"' in sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM (WITH secret AS (SELECT 1) SELECT * FROM secret) AS x, secret",
        "WITH a AS (SELECT * FROM secret), secret AS (SELECT 1) SELECT * FROM a",
        "WITH 'x' AS secret SELECT * FROM secret",
        "SELECT * FROM x.secret",
        "WITH secret AS (SELECT 1) SELECT * FROM public.secret",
    ],
)
def test_names_of_common_table_expressions_follow_their_scope(sql: str) -> None:
    tree = parse(sql, "clickhouse")
    check(tree, "clickhouse")
    with pytest.raises(InvalidRequest, match="no relation"):
        replaced(tree, {})


def test_nesting_and_length_are_limited() -> None:
    deep = f"SELECT {'(' * 5000}1{')' * 5000}"
    for sql in (
        deep,
        f"SELECT '{'x' * 200_000}'",
        f"SELECT {'-' * 3000}1",
        "SELECT " + "1+" * 20000,
    ):
        try:
            gated(sql, "clickhouse")
        except InvalidRequest:
            continue
