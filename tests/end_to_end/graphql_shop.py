"""A small FraiseQL database and its compiled schema, for the GraphQL tests."""

import json
import time
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as postgresql

SCHEMA = "graphql_tests"

SQL = """
DROP SCHEMA IF EXISTS graphql_tests CASCADE;
CREATE SCHEMA graphql_tests;
SET search_path = graphql_tests;
CREATE TABLE tb_author (
    pk_author int PRIMARY KEY, id uuid UNIQUE NOT NULL, tenant_id text NOT NULL, name text NOT NULL,
    age int, score float8, balance numeric(12, 2), active bool, born date, wakes time,
    joined_at timestamptz, followers bigint, meta jsonb, tags text[], mood text
);
INSERT INTO tb_author
SELECT
    n, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'tenant' || n % 3,
    'Author "' || n || '" \\ ' || CASE WHEN n % 5 = 0 THEN 'naïve 😀' ELSE 'x%_' END,
    CASE WHEN n % 7 > 0 THEN n % 50 END, n / 3.0, n * 1.1, n % 2 = 0,
    '2000-01-01'::date + n, '08:00'::time + n * interval '1 second',
    '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 hour 0.000001 second',
    n::bigint * 10000000000, jsonb_build_object('n', n, 'list', jsonb_build_array(1, null, 'a')),
    CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN '{}'::text[] ELSE ARRAY['a', NULL, 'b' || n] END,
    CASE n % 2 WHEN 0 THEN 'CALM' ELSE 'WILD' END
FROM generate_series(1, 60) AS n;
CREATE TABLE tb_post (
    pk_post int PRIMARY KEY, id uuid NOT NULL, fk_author int REFERENCES tb_author, title text,
    words int, price numeric(10, 3)
);
INSERT INTO tb_post
SELECT n, ('10000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
    CASE WHEN n % 11 > 0 THEN 1 + n % 60 END, 'Post ' || n, n * 10, n / 8.0
FROM generate_series(1, 200) AS n;
CREATE TABLE tb_comment (
    pk_comment int PRIMARY KEY, fk_post int NOT NULL REFERENCES tb_post, body text, likes bigint
);
INSERT INTO tb_comment
SELECT n, 1 + n % 150, CASE WHEN n % 4 > 0 THEN 'Comment ' || n END, n::bigint << 33
FROM generate_series(1, 500) AS n;
CREATE VIEW v_author AS
SELECT a.pk_author, a.id, a.tenant_id, jsonb_build_object(
    'id', a.id, 'name', a.name, 'age', a.age, 'score', a.score, 'balance', a.balance,
    'active', a.active, 'born', a.born, 'wakes', a.wakes, 'joinedAt', a.joined_at,
    'followers', a.followers, 'meta', a.meta, 'tags', to_jsonb(a.tags), 'mood', a.mood,
    'place', jsonb_build_object('city', 'City ' || a.pk_author % 4, 'zip', a.pk_author)
) AS data FROM tb_author AS a;
CREATE VIEW va_author AS
SELECT id, tenant_id, name, age, score, balance, active, born, wakes, joined_at, followers, meta,
    tags, mood FROM tb_author;
CREATE TABLE tv_author AS SELECT id, data FROM v_author;
CREATE VIEW v_post AS
SELECT p.pk_post, p.id, jsonb_build_object(
    'id', p.id, 'title', p.title, 'words', p.words, 'price', p.price, 'author', v_author.data,
    'comments', (
        SELECT jsonb_agg(jsonb_build_object('body', c.body, 'likes', c.likes, 'marks',
            jsonb_build_array(c.pk_comment, jsonb_build_object('x', 1)) - 1,
            'replies', (
                SELECT jsonb_agg(jsonb_build_object('body', r.body) ORDER BY r.pk_comment)
                FROM tb_comment AS r WHERE r.fk_post = c.fk_post AND r.pk_comment > c.pk_comment
            )) ORDER BY c.pk_comment)
        FROM tb_comment AS c WHERE c.fk_post = p.pk_post
    )
) AS data
FROM tb_post AS p LEFT JOIN v_author ON v_author.pk_author = p.fk_author;
CREATE TABLE tv_post AS SELECT pk_post, data FROM v_post;
CREATE TABLE tv_pet (id int PRIMARY KEY, data jsonb NOT NULL);
INSERT INTO tv_pet SELECT n, CASE n % 2
    WHEN 0 THEN jsonb_build_object('__typename', 'Dog', 'id', n, 'name', 'Dog ' || n, 'barks', n)
    ELSE jsonb_build_object('__typename', 'Cat', 'id', n, 'name', 'Cat ' || n, 'lives', n % 9)
    END FROM generate_series(1, 10) AS n;
CREATE TABLE tv_thing (id int PRIMARY KEY, data jsonb NOT NULL);
"""


def field(name: str, kind: Any, *, nullable: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "field_type": kind, "nullable": nullable, **more}


AUTO = {"has_where": True, "has_order_by": True, "has_limit": True, "has_offset": True}


def rows(name: str, of: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "return_type": of,
        "returns_list": True,
        "nullable": False,
        "sql_source": f"{SCHEMA}.{source}",
        "jsonb_column": "data",
        "auto_params": AUTO,
        **more,
    }


ARGUMENT_ID = {"name": "id", "arg_type": "ID", "nullable": False}
COMPILED: dict[str, Any] = {
    "types": [
        {
            "name": "Author",
            "sql_source": f"{SCHEMA}.v_author",
            "fields": [
                field("id", "ID", nullable=False),
                field("name", "String", nullable=False),
                field("age", "Int"),
                field("score", "Float"),
                field("balance", "Decimal"),
                field("active", "Boolean"),
                field("born", "Date"),
                field("wakes", "Time"),
                field("joinedAt", "DateTime"),
                field("followers", "Int"),
                field("meta", "Json"),
                field("tags", {"List": "String"}),
                field("mood", {"Enum": "Mood"}),
                field("place", {"Object": "Place"}),
            ],
        },
        {"name": "Place", "fields": [field("city", "String"), field("zip", "Int")]},
        {
            "name": "Post",
            "sql_source": f"{SCHEMA}.v_post",
            "fields": [
                field("id", "ID", nullable=False),
                field("title", "String"),
                field("words", "Int"),
                field("price", "Decimal"),
                field("author", {"Object": "Author"}),
                field("comments", {"List": {"Object": "Comment"}}),
            ],
        },
        {
            "name": "Comment",
            "fields": [
                field("body", "String"),
                field("likes", "String"),
                field("marks", {"List": "Int"}),
                field("replies", {"List": {"Object": "Comment"}}),
            ],
        },
        {
            "name": "Dog",
            "implements": ["Pet"],
            "fields": [
                field("id", "Int", nullable=False),
                field("name", "String"),
                field("barks", "Int"),
            ],
        },
        {
            "name": "Cat",
            "implements": ["Pet"],
            "fields": [
                field("id", "Int", nullable=False),
                field("name", "String"),
                field("lives", "Int"),
            ],
        },
        {
            "name": "Secret",
            "requires_role": "admin",
            "fields": [field("id", "ID", nullable=False), field("name", "String")],
        },
        {
            "name": "Thing",
            "fields": [
                field("id", "Int", nullable=False),
                field("text", "String"),
                field("whole", "Int"),
                field("number", "Float"),
                field("exact", "Decimal"),
                field("flag", "Boolean"),
                field("at", "DateTime"),
                field("any", "Json"),
                field("needed", "String", nullable=False),
                field("inner", {"Object": "Thing"}),
                field("many", {"List": {"Object": "Thing"}}),
                field("grid", {"List": {"List": "Int"}}),
            ],
        },
    ],
    "interfaces": [
        {"name": "Pet", "fields": [field("id", "Int", nullable=False), field("name", "String")]}
    ],
    "unions": [{"name": "Beast", "member_types": ["Dog", "Cat"]}],
    "enums": [{"name": "Mood", "values": ["CALM", {"name": "WILD", "deprecated": "too loud"}]}],
    "input_types": [
        {"name": "AuthorFilter", "fields": [field("mood", "Mood"), field("age", "Int")]}
    ],
    "queries": [
        rows(
            "authors",
            "Author",
            "v_author",
            arguments=[
                {"name": "name", "arg_type": "String", "nullable": True},
                {"name": "filter", "arg_type": {"Input": "AuthorFilter"}, "nullable": True},
            ],
        ),
        rows("storedAuthors", "Author", "tv_author"),
        {
            **rows("author", "Author", "v_author", arguments=[ARGUMENT_ID]),
            "returns_list": False,
            "nullable": True,
            "auto_params": {},
        },
        rows("posts", "Post", "v_post"),
        rows("storedPosts", "Post", "tv_post"),
        rows("pets", "Pet", "tv_pet"),
        rows("beasts", "Beast", "tv_pet"),
        rows("things", "Thing", "tv_thing"),
        rows("secrets", "Secret", "tv_pet"),
        rows("adminAuthors", "Author", "v_author", requires_role="admin"),
        rows(
            "myAuthors",
            "Author",
            "v_author",
            inject_params={"tenant_id": {"source": "jwt", "claim": "tenant_id"}},
        ),
        rows("authorPages", "Author", "v_author", relay=True, relay_cursor_column="pk_author"),
    ],
    "mutations": [{"name": "rename", "return_type": "Author", "arguments": [ARGUMENT_ID]}],
    "a_key_that_nobody_knows": 1,
}


def create(database_url: str) -> None:
    """Creates the tables and views."""
    with (
        postgresql.connect(database_url, autocommit=True) as connection,
        connection.cursor() as run,
    ):
        for statement in SQL.split(";\n"):
            if statement.strip():
                run.execute(statement)


def write_schema(folder: Path, compiled: dict[str, Any] = COMPILED) -> Path:
    """Writes a compiled schema to a file."""
    path = folder / "schema.compiled.json"
    path.write_text(json.dumps(compiled))
    return path


ENDLESS = """CREATE OR REPLACE VIEW graphql_tests.v_thing AS
SELECT n AS id, jsonb_build_object('id', n, 'needed', repeat('x', 100)) AS data
FROM generate_series(1, 3000) AS m, generate_series(1, 3000) AS n"""
RUNNING = """SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE 'COPY%generate_series(1, 3000)%'
AND pid <> pg_backend_pid()"""


def create_endless(database_url: str, folder: Path) -> Path:
    """A view of nine million rows, and the schema of its one query, `things`."""
    with postgresql.connect(database_url, autocommit=True) as one, one.cursor() as run:
        run.execute(ENDLESS)
    return write_schema(folder, {**COMPILED, "queries": [rows("things", "Thing", "v_thing")]})


def running(database_url: str) -> int:
    """The number of statements that currently read that view."""
    with postgresql.connect(database_url) as one, one.cursor() as run:
        run.execute(RUNNING)
        found = run.fetchone()
        assert found
        return found[0]


def until_stopped(database_url: str) -> None:
    """Waits until no statement reads that view."""
    deadline = time.monotonic() + 20
    while running(database_url):
        assert time.monotonic() < deadline, "the query still runs"
        time.sleep(0.01)
