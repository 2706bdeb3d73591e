"""Finds the keys of a relation's documents before a query reads them.

A view's definition has its keys as string literals. Stored documents are sampled: the first rows,
the first elements of the lists in them, and no large ones.
"""

from collections.abc import Mapping

import msgspec
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from flight_service.graphql.errors import DatabaseFailed
from flight_service.graphql.postgres.catalogue import Ask
from flight_service.graphql.postgres.sql import quoted, quoted_path
from flight_service.graphql.sources.keys import NOTHING, Seen

SAMPLE = """
WITH RECURSIVE sample AS (
    SELECT s.{column}::jsonb AS document FROM {relation} AS s LIMIT 100
), walk (path, value) AS (
    SELECT ARRAY[]::text[], document FROM sample WHERE pg_column_size(document) < 262144
    UNION ALL
    SELECT inside.path, inside.value FROM walk, LATERAL (
        SELECT walk.path || member.key AS path, member.value
        FROM jsonb_each(CASE WHEN jsonb_typeof(walk.value) = 'object' THEN walk.value END) AS member
        UNION ALL
        SELECT walk.path, element
        FROM jsonb_path_query(
            CASE WHEN jsonb_typeof(walk.value) = 'array' THEN walk.value END, '$[0 to 2]'
        ) AS element
    ) AS inside
    WHERE cardinality(walk.path) < 8
)
SELECT
    array_to_json(path)::text AS path,
    bool_or(CASE
        WHEN jsonb_typeof(value) IN ('number', 'string') AND value #>> '{{}}' ~ '^-?[0-9]{{10,19}}$'
        THEN (value #>> '{{}}')::numeric NOT BETWEEN -2147483648 AND 2147483647
        ELSE false
    END) AS wide
FROM walk GROUP BY path ORDER BY cardinality(path) LIMIT 20000
"""


def sampled(ask: Ask, relation: str, column: str) -> Seen:
    """The keys of a sample of a relation's documents; none if they cannot be read."""
    sql = SAMPLE.format(relation=quoted_path(relation), column=quoted(column))
    tree: dict[str, dict] = {}
    wide: set[tuple[str, ...]] = set()
    try:
        rows = ask(sql, []).to_pylist()
    except DatabaseFailed:
        return NOTHING
    for row in rows:
        path = tuple(msgspec.json.decode(row["path"], type=list[str]))
        level = tree
        for key in path:
            level = level.setdefault(key, {})
        if row["wide"]:
            wide.add(path)
    return _seen(tree, wide, ())


def _seen(tree: Mapping[str, dict], wide: set[tuple[str, ...]], path: tuple[str, ...]) -> Seen:
    inner = {key: _seen(level, wide, (*path, key)) for key, level in tree.items()}
    return Seen(inner, path in wide)


def merged(one: Seen, other: Seen) -> Seen:
    """The keys of both."""
    keys = {
        key: merged(one.keys.get(key, NOTHING), other.keys.get(key, NOTHING))
        for key in {**one.keys, **other.keys}
    }
    return Seen(keys, one.wide or other.wide)


def written(definition: str) -> frozenset[str]:
    """The string literals in a view's definition, among them the keys of its documents.

    sqlglot's tokens show them all; in its tree, the keys of `->>` have become JSON paths."""
    try:
        tokens = Postgres().tokenize(definition)
    except SqlglotError:
        return frozenset()
    return frozenset(one.text for one in tokens if one.token_type == TokenType.STRING)
