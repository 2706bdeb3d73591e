"""Finds the value that made a statement fail, or that is an object where the schema says text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from flight_service.graphql.errors import BadDocument, DatabaseFailed, QueryRefused
from flight_service.graphql.planning.levels import ITEM, Check
from flight_service.graphql.planning.plan import RootStatement
from flight_service.graphql.postgres.database import Transaction

LISTED = re.compile(r" AS (\w+)\(v\)\Z")
NUMBERED = r" WITH ORDINALITY AS \1(v, position)"
FIRST_VERSION = 160000
"""The first PostgreSQL version with `pg_input_is_valid`."""
UNCHECKED = ("text", "jsonb")
INVALID = """
SELECT left(given->>'value', 80) AS value, given->>'type' AS type
FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS each (given, position)
WHERE NOT pg_input_is_valid(given->>'value', given->>'type')
ORDER BY position LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class InvalidStored:
    """A value that does not have its type."""

    path: tuple[str | int, ...]
    row: int
    text: str


def bad_argument(transaction: Transaction, plan: RootStatement) -> QueryRefused | None:
    """An error about the first of the client's values that cannot be cast to the type that it is
    compared with; None if there is none.

    Raises:
        DatabaseFailed: PostgreSQL cannot check it.
    """
    if not _can_check(transaction):
        return None
    given: list[dict[str, str]] = []
    for value, kind in zip(plan.values, plan.value_types, strict=True):
        element = kind.removesuffix("[]")
        texts = [value] if element == kind else msgspec.json.decode(value)
        if element not in UNCHECKED:
            given += [{"value": one, "type": element} for one in texts if one is not None]
    asked = msgspec.json.encode(given).decode()
    for row in transaction.table(INVALID, [asked]).to_pylist():
        return QueryRefused(
            f"{row['value']!r} in an argument is no {row['type']}.", path=(plan.key,)
        )
    return None


def _can_check(transaction: Transaction) -> bool:
    version = transaction.table("SELECT current_setting('server_version_num')::int AS v")
    return version["v"][0].as_py() >= FIRST_VERSION


def bad_value(transaction: Transaction, plan: RootStatement) -> BadDocument | None:
    """An error about the first value that cannot be cast to its field's type; None if none is
    found.

    Raises:
        DatabaseFailed: PostgreSQL cannot check it.
    """
    if not _can_check(transaction):
        return None
    for check in plan.checks:
        if check.kind.sql in ("text", "jsonb"):
            continue
        wrong = f"NOT pg_input_is_valid({check.value.text}, '{check.kind.sql}')"
        for found in _found(transaction, plan, check, wrong):
            return _failure(plan, found, f"{found.text!r} is no {check.kind.name}")
    return None


def no_text(transaction: Transaction, plan: RootStatement) -> BadDocument | None:
    """An error about the first object or array in a document where the schema says text; None if
    none is found.

    Raises:
        DatabaseFailed: PostgreSQL cannot check it.
    """
    for check in plan.checks:
        if check.kind.sql == "text":
            wrong = f"jsonb_typeof({check.value.sql}) IN ('object', 'array')"
            for found in _found(transaction, plan, check, wrong):
                return _failure(plan, found, f"{found.text!r} is no {check.kind.name}")
    return None


def _found(
    transaction: Transaction, plan: RootStatement, check: Check, wrong: str
) -> Iterator[InvalidStored]:
    # The indexes of the lists around the value are selected beside it.
    tables = "".join(f", {LISTED.sub(NUMBERED, one)}" for one in check.tables)
    indexes = ", ".join(
        f"{found[1]}.position - 1" for found in map(LISTED.search, check.tables) if found
    )
    sql = (
        f"SELECT d.number, left({check.value.text}, 80) AS value, "
        f"ARRAY[{indexes}]::bigint[] AS indexes FROM "
        f"(SELECT r.*, row_number() OVER () - 1 AS number FROM ({plan.rows_sql}) AS r) AS d"
        f"{tables} WHERE {wrong} ORDER BY d.number LIMIT 1"
    )
    try:
        for batch in transaction.batches(sql, plan.values):
            for row in batch.to_pylist():
                indexes = iter(row["indexes"])
                path = tuple(next(indexes) if one == ITEM else one for one in check.path)
                yield InvalidStored(path, row["number"], row["value"])
    except DatabaseFailed:
        # A filter or order fails on the value too, so it cannot be found this way.
        return


def _failure(plan: RootStatement, found: InvalidStored, why: str) -> BadDocument:
    where = ".".join(map(str, found.path))
    return BadDocument(
        f"{plan.key}, row {found.row}, {where}: {why}, as the schema says it is.",
        path=(plan.key, found.row, *found.path),
    )
