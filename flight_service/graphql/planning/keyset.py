"""Keyset pagination: the condition of the next page, and the cursors that it begins after.

A row's keys are those that the client orders by, if any, followed by the schema's cursor. Nulls
sort after all values where a key ascends, and before them where it descends.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from flight_service.graphql.errors import QueryRefused
from flight_service.graphql.planning.filters import Direction
from flight_service.graphql.postgres.sql import Parameters

REVERSED: dict[Direction, Direction] = {"ASC": "DESC", "DESC": "ASC"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the order: its SQL, and the type in which a cursor's text is bound to it."""

    sql: str
    sql_type: str
    direction: Direction = "ASC"


def ordered(keys: Sequence[Key], *, backward: bool) -> list[str]:
    """The items of ORDER BY."""
    return [f"{key.sql} {REVERSED[key.direction] if backward else key.direction}" for key in keys]


def beyond(
    keys: Sequence[Key], values: Sequence[str | None], parameters: Parameters, *, forward: bool
) -> str:
    """The condition that a row lies behind a cursor, or before it."""
    alternatives: list[str] = []
    same: list[str] = []
    for key, value in zip(keys, values, strict=True):
        ascends = (key.direction == "ASC") == forward
        if value is None:
            further = "FALSE" if ascends else f"{key.sql} IS NOT NULL"
            equal = f"{key.sql} IS NULL"
        else:
            bound = parameters.bind(value, key.sql_type)
            further = f"{key.sql} < {bound}"
            if ascends:
                further = f"({key.sql} > {bound} OR {key.sql} IS NULL)"
            equal = f"{key.sql} = {bound}"
        alternatives.append(" AND ".join([*same, further]))
        same.append(equal)
    return f"({' OR '.join(alternatives)})"


def cursor_of(texts: Sequence[str]) -> str:
    """The SQL of a row's cursor, of its keys' texts."""
    shown = texts[0] if len(texts) == 1 else f"jsonb_build_array({', '.join(texts)})::text"
    return f"translate(encode(convert_to({shown}, 'UTF8'), 'base64'), chr(10), '')"


def values_of(given: str, count: int, name: str) -> list[str | None]:
    """The keys' texts of a cursor.

    Raises:
        QueryRefused: it is no cursor of rows with so many keys.
    """
    values: list[str | None] = []
    try:
        text = base64.b64decode(given, validate=True).decode()
        values = [text] if count == 1 else msgspec.json.decode(text, type=list[str | None])
    except (binascii.Error, UnicodeDecodeError, ValueError, msgspec.DecodeError):
        pass
    if len(values) != count:
        raise QueryRefused(f"{name} is {given[:80]!r}, which is no cursor of this query.")
    return values
