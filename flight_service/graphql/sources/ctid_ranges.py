"""Where a relation's rows lie on disk, beside them, so that a scan of them can be divided.

A row's place in a table, its `ctid`, is one place under one snapshot. So ranges of places divide
the table's rows, and whatever has one of them in each of its rows, whatever the ranges are: each
row is in exactly one. PostgreSQL reads a range without reading the rest of the table.

A view does not hand places out. Its definition does when the place of its first table is put into
its select list, where that changes no row: not with DISTINCT, grouping, windows, limits, set
operations, or an outer join that may leave the first table out of a row.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.sources.view_expansion import (
    CLOSING,
    DEEPEST,
    OPENING,
    Definition,
    NotTheSame,
)

PLACE = "graphql_place"
"""The column that holds a row's place."""
CHANGING = ("distinct", "group", "having", "limit", "offset", "fetch", "with_", "with", "windows")
"""Clauses under which another column may change the rows."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows with their places beside them."""

    select: str
    table: str
    """The table that the places are in."""


@dataclass(frozen=True, slots=True)
class Pages:
    """A range of places: whole pages of a table, the last of the ranges without an end."""

    first: int
    end: int | None

    def holds(self, alias: str) -> str:
        """The condition that a row under a name lies in it."""
        column = f"{alias}.{quoted(PLACE)}"
        condition = f"{column} >= '({int(self.first)},0)'::tid"
        if self.end is None:
            return condition
        return f"{condition} AND {column} < '({int(self.end)},0)'::tid"


def divided(pages: int, parts: int) -> list[Pages]:
    """All places of a table of so many pages, in that many ranges of about the same size."""
    bounds = [pages * part // parts for part in range(parts)]
    return [Pages(first, end) for first, end in zip(bounds, [*bounds[1:], None], strict=True)]


def placed(sql: str, definitions: Mapping[str, Definition], tables: Collection[str]) -> Placed:
    """Puts the places of its first table's rows beside a SELECT's. `tables` are those that there
    are; views among them are looked up in `definitions`.

    Raises:
        NotTheSame: it cannot be told whether its rows would stay the same.
    """
    try:
        return _placed(sql, definitions, tables, 0)
    except SqlglotError as error:
        raise NotTheSame("the definition cannot be parsed") from error


def _placed(
    sql: str, definitions: Mapping[str, Definition], tables: Collection[str], depth: int
) -> Placed:
    text = sql.strip().rstrip(";")
    select = _parsed(text)
    first = _first(select)
    if isinstance(first, exp.Subquery):
        assert isinstance(first.this, exp.Select), "as it was found"
        start, end = _sub_select(text, first.this)
        inner = _within(select, first, text[start:end], definitions, tables, depth)
        text = f"{text[:start]}{inner.select}{text[end:]}"
        return Placed(_passed_on(select, text, first.alias), inner.table)
    name = f"{first.db}.{first.name}" if first.db else first.name
    called = quoted(first.alias_or_name)
    if name in tables:
        return Placed(_with_column(text, f"{called}.ctid"), name)
    if name not in definitions or not definitions[name].trusted:
        raise NotTheSame(f"{name} is no table whose places can be told")
    inner = _within(select, first, definitions[name].sql, definitions, tables, depth)
    start = (first.args.get("db") or first.this).meta["start"]
    end = first.this.meta["end"] + 1
    alias = "" if first.alias else f" AS {called}"
    text = f"{text[:start]}({inner.select}){alias}{text[end:]}"
    return Placed(_passed_on(select, text, first.alias_or_name), inner.table)


def _within(
    select: exp.Select,
    first: exp.Table | exp.Subquery,
    sql: str,
    definitions: Mapping[str, Definition],
    tables: Collection[str],
    depth: int,
) -> Placed:
    """What a SELECT reads first, with its places, where one more column of it shows nowhere."""
    columns = first.args["alias"].columns if first.args.get("alias") else ()
    if columns or depth == DEEPEST:
        raise NotTheSame("it names the columns of what it reads first, or lies too deep")
    if any(
        isinstance(one.this, exp.Star) and one.table == first.alias_or_name
        for one in select.find_all(exp.Column)
    ):
        raise NotTheSame("it reads whole rows of what it reads first")
    return _placed(sql, definitions, tables, depth + 1)


def _parsed(text: str) -> exp.Select:
    select = sqlglot.parse_one(text, dialect="postgres")
    if not isinstance(select, exp.Select) or not text[:6].lower() == "select":
        raise NotTheSame("it is more than one SELECT")
    own = [
        one
        for one in select.find_all(exp.Window, exp.AggFunc, exp.Join)
        if one.find_ancestor(exp.Select) is select
    ]
    if any(select.args.get(clause) for clause in CHANGING):
        raise NotTheSame("it uses DISTINCT, grouping, windows, limits or WITH")
    if any(isinstance(one, exp.Window | exp.AggFunc) for one in own):
        raise NotTheSame("it aggregates")
    if any(one.side in ("RIGHT", "FULL") for one in own if isinstance(one, exp.Join)):
        raise NotTheSame("an outer join may leave its first table out")
    return select


def _first(select: exp.Select) -> exp.Table | exp.Subquery:
    """What stands first in FROM: a table, a view or a sub-select."""
    found = select.args.get("from_") or select.args.get("from")
    first = found.this if found else None
    # Around joins there are parentheses, which are read as sub-selects without a SELECT.
    while isinstance(first, exp.Subquery) and isinstance(first.this, exp.Subquery | exp.Table):
        first = first.this
    if isinstance(first, exp.Subquery) and isinstance(first.this, exp.Select):
        return first
    if (
        isinstance(first, exp.Table)
        and isinstance(first.this, exp.Identifier)
        and not first.args.get("sample")
    ):
        return first
    raise NotTheSame("what it reads first is no table, or a sample of one")


def _sub_select(text: str, wanted: exp.Select) -> tuple[int, int]:
    """Where the sub-select lies that stands first in FROM, without its parentheses."""
    tokens = Postgres().tokenize(text)
    depth, within, start = 0, 0, None
    for token, following in pairwise(tokens):
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
        if start is None:
            if depth and following.token_type == TokenType.SELECT:
                start, within = following.start, depth
        elif depth == within and following.token_type in CLOSING:
            if sqlglot.parse_one(text[start : following.start], dialect="postgres") == wanted:
                return start, following.start
            start = None
    raise NotTheSame("its sub-select cannot be found")


def _passed_on(select: exp.Select, text: str, alias: str) -> str:
    """The SELECT with the places of what it reads first, which `*` has already."""
    if any(isinstance(one, exp.Star) for one in select.expressions):
        return text
    return _with_column(text, f"{quoted(alias)}.{quoted(PLACE)}")


def _with_column(select: str, sql: str) -> str:
    """The SELECT with a column in front."""
    return f"{select[:6]} {sql} AS {quoted(PLACE)},{select[6:]}"
