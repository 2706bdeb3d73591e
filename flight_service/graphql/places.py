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

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from flight_service.graphql.sql import quoted
from flight_service.graphql.views import DEEPEST, Definition, NotTheSame

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
    return _placed(sql, definitions, tables, 0)


def _placed(
    sql: str, definitions: Mapping[str, Definition], tables: Collection[str], depth: int
) -> Placed:
    text = sql.strip().rstrip(";")
    select = _parsed(text)
    table = _first_table(select)
    name = f"{table.db}.{table.name}" if table.db else table.name
    called = quoted(table.alias_or_name)
    if name in tables:
        return Placed(_with_column(text, f"{called}.ctid"), name)
    if name not in definitions or not definitions[name].trusted or depth == DEEPEST:
        raise NotTheSame(f"{name} is no table whose places can be told")
    if _reads_whole_rows(select, table):
        raise NotTheSame(f"{name} is read as whole rows, or under other names of columns")
    inner = _placed(definitions[name].sql, definitions, tables, depth + 1)
    start = (table.args.get("db") or table.this).meta["start"]
    end = table.this.meta["end"] + 1
    alias = "" if table.alias else f" AS {called}"
    text = f"{text[:start]}({inner.select}){alias}{text[end:]}"
    return Placed(_with_column(text, f"{called}.{quoted(PLACE)}"), inner.table)


def _parsed(text: str) -> exp.Select:
    try:
        select = sqlglot.parse_one(text, dialect="postgres")
    except SqlglotError as error:
        raise NotTheSame("the definition cannot be parsed") from error
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


def _first_table(select: exp.Select) -> exp.Table:
    found = select.args.get("from_") or select.args.get("from")
    first = found.this if found else None
    # Around joins there are parentheses; a sub-select would have a SELECT within.
    while isinstance(first, exp.Subquery | exp.Paren):
        first = first.this
    if not isinstance(first, exp.Table) or not isinstance(first.this, exp.Identifier):
        raise NotTheSame("its first table is none")
    if first.args.get("sample"):
        raise NotTheSame("it samples its table")
    return first


def _reads_whole_rows(select: exp.Select, table: exp.Table) -> bool:
    """Whether another column of a view would show."""
    columns = table.args["alias"].columns if table.args.get("alias") else ()
    return bool(columns) or any(
        isinstance(one.this, exp.Star) and one.table == table.alias_or_name
        for one in select.find_all(exp.Column)
    )


def _with_column(select: str, sql: str) -> str:
    """The SELECT with a column in front."""
    return f"{select[:6]} {sql} AS {quoted(PLACE)},{select[6:]}"
