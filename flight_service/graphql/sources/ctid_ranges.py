"""Divides the rows of a relation into ctid ranges, so that several readers can scan it.

A row's `ctid` is its position in its table, constant under one snapshot. Ranges of ctids divide
the rows of a table, and the rows of whatever has one of them in each of its rows: each row is in
exactly one range. PostgreSQL reads a range without reading the rest of the table.

A view does not return ctids. Its definition does if the ctid of its first table is put into its
select list, where that does not change the rows: not with DISTINCT, grouping, windows, limits, set
operations, or an outer join that may leave out the first table.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.sources.sql_text import SqlText
from flight_service.graphql.sources.view_expansion import (
    MAX_DEPTH,
    Definition,
    NotExpandable,
    reads_whole_rows,
    relation_name,
)

CTID = "graphql_ctid"
"""The name of the column that holds a row's ctid."""
CHANGING = ("distinct", "group", "having", "limit", "offset", "fetch", "with_", "with", "windows")
"""Clauses under which another column may change the rows."""


@dataclass(frozen=True, slots=True)
class RowsWithCtids:
    """A SELECT of rows with their ctids beside them."""

    select: str
    table: str
    """The table that the ctids are of."""


@dataclass(frozen=True, slots=True)
class CtidRange:
    """A range of whole pages of a table. The last of several has no end."""

    first_page: int
    end_page: int | None

    def condition(self, alias: str) -> str:
        """The condition that a row of a relation under that alias lies in the range."""
        column = f"{alias}.{quoted(CTID)}"
        condition = f"{column} >= '({int(self.first_page)},0)'::tid"
        if self.end_page is None:
            return condition
        return f"{condition} AND {column} < '({int(self.end_page)},0)'::tid"


def divided(pages: int, parts: int) -> list[CtidRange]:
    """The pages of a table, in that many ranges of about equal size."""
    bounds = [pages * part // parts for part in range(parts)]
    return [CtidRange(first, end) for first, end in zip(bounds, [*bounds[1:], None], strict=True)]


def with_ctids(
    sql: str, definitions: Mapping[str, Definition], tables: Collection[str]
) -> RowsWithCtids:
    """Puts the ctids of its first table's rows beside those of a SELECT. `tables` are all tables;
    `definitions` has the views.

    Raises:
        NotExpandable: it is not certain that the rows would stay the same.
    """
    try:
        return _with_ctids(sql, definitions, tables, 0)
    except SqlglotError as error:
        raise NotExpandable("the definition cannot be parsed") from error


def _with_ctids(
    sql: str, definitions: Mapping[str, Definition], tables: Collection[str], depth: int
) -> RowsWithCtids:
    text = sql.strip().rstrip(";")
    select = _parsed(text)
    first = _first(select)
    if isinstance(first, exp.Subquery):
        assert isinstance(first.this, exp.Select), "as it was found"
        whole = SqlText(text)
        span = whole.sub_select(first.this)
        if span is None:
            raise NotExpandable("its sub-select cannot be found")
        inner = _within(select, first, whole.text(span), definitions, tables, depth)
        start, end = whole.bounds(span)
        text = f"{text[:start]}{inner.select}{text[end:]}"
        return RowsWithCtids(_passed_on(select, text, first.alias), inner.table)
    name = relation_name(first)
    alias = quoted(first.alias_or_name)
    if name in tables:
        return RowsWithCtids(_with_column(text, f"{alias}.ctid"), name)
    if name not in definitions or not definitions[name].trusted:
        raise NotExpandable(f"{name} is no table whose rows have ctids")
    inner = _within(select, first, definitions[name].sql, definitions, tables, depth)
    start = (first.args.get("db") or first.this).meta["start"]
    end = first.this.meta["end"] + 1
    as_alias = "" if first.alias else f" AS {alias}"
    text = f"{text[:start]}({inner.select}){as_alias}{text[end:]}"
    return RowsWithCtids(_passed_on(select, text, first.alias_or_name), inner.table)


def _within(
    select: exp.Select,
    first: exp.Table | exp.Subquery,
    sql: str,
    definitions: Mapping[str, Definition],
    tables: Collection[str],
    depth: int,
) -> RowsWithCtids:
    """What a SELECT reads first, with its ctids, if one more column of it shows nowhere."""
    columns = first.args["alias"].columns if first.args.get("alias") else ()
    if columns or depth == MAX_DEPTH:
        raise NotExpandable("it names the columns of what it reads first, or lies too deep")
    if reads_whole_rows(select, first.alias_or_name):
        raise NotExpandable("it reads whole rows of what it reads first")
    return _with_ctids(sql, definitions, tables, depth + 1)


def _parsed(text: str) -> exp.Select:
    select = sqlglot.parse_one(text, dialect="postgres")
    if not isinstance(select, exp.Select) or not text[:6].lower() == "select":
        raise NotExpandable("it is more than one SELECT")
    own = [
        one
        for one in select.find_all(exp.Window, exp.AggFunc, exp.Join)
        if one.find_ancestor(exp.Select) is select
    ]
    if any(select.args.get(clause) for clause in CHANGING):
        raise NotExpandable("it uses DISTINCT, grouping, windows, limits or WITH")
    if any(isinstance(one, exp.Window | exp.AggFunc) for one in own):
        raise NotExpandable("it aggregates")
    if any(one.side in ("RIGHT", "FULL") for one in own if isinstance(one, exp.Join)):
        raise NotExpandable("an outer join may leave its first table out")
    return select


def _first(select: exp.Select) -> exp.Table | exp.Subquery:
    """The first relation in FROM: a table, a view or a sub-select."""
    found = select.args.get("from_") or select.args.get("from")
    first = found.this if found else None
    # Parentheses around joins are parsed as sub-selects without a SELECT.
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
    raise NotExpandable("what it reads first is no table, or a sample of one")


def _passed_on(select: exp.Select, text: str, alias: str) -> str:
    """The SELECT with the ctids of what it reads first; `*` has them already."""
    if any(isinstance(one, exp.Star) for one in select.expressions):
        return text
    return _with_column(text, f"{quoted(alias)}.{quoted(CTID)}")


def _with_column(select: str, sql: str) -> str:
    """The SELECT with another column, which becomes its first."""
    return f"{select[:6]} {sql} AS {quoted(CTID)},{select[6:]}"
