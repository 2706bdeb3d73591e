"""The expressions under a view's own `jsonb_build_object`, beside the document that they build.

A view that builds its document does so for every row, and a field read from it is built and taken
apart again. The view's definition says what each field is before: the same text is put beside the
document as a typed column, and the document, which nothing reads any more, is not built. No
expression is rewritten: they are PostgreSQL's own text, so the rows and values are the view's.

A view is not expanded where that could change the result: set operations, DISTINCT, common table
expressions, a security barrier, a table with row security or without the right to read it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from flight_service.graphql.postgres.sql import quoted
from flight_service.graphql.sources.sql_text import Span, SqlText

BUILD = "jsonb_build_object"
MAX_DEPTH = 8
"""How many views within views are expanded."""
Node = Any
"""A node of sqlglot's tree, whose base class sqlglot does not export."""


class NotExpandable(Exception):
    """A definition cannot be extended without the risk of another result; the message says why."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A view as the database defines it."""

    sql: str
    trusted: bool
    """Whether its tables may be read directly with the same result as through the view."""


@dataclass(frozen=True, slots=True)
class ExpandedColumn:
    """A member of a document: the column beside it that holds its value."""

    column: str
    stored: bool
    """Whether it is a table's column as it is, rather than computed for the row."""


@dataclass(frozen=True, slots=True)
class ExpandedObject:
    """An object in a document, by its members."""

    members: Mapping[str, "ExpandedColumn | ExpandedObject"]
    present: str | None = None
    """The column that is true if the object is present, null if it is absent."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A view with columns beside its own, for the members of its document."""

    select: str
    document: ExpandedObject


def expand(name: str, column: str, definitions: Mapping[str, Definition]) -> Expansion:
    """Puts the members of a view's document column beside it.

    Raises:
        NotExpandable: the document's members are not certain.
    """
    return _View(name, column, definitions, 0).expansion()


def tables_of(sql: str) -> list[str]:
    """The relations that a definition reads, by the names it has for them."""
    try:
        parsed = sqlglot.parse_one(sql, dialect="postgres")
    except SqlglotError:
        return []
    return sorted({relation_name(table) for table in parsed.find_all(exp.Table) if table.name})


def relation_name(table: exp.Table) -> str:
    """A table's name, with its schema if it has one."""
    return f"{table.db}.{table.name}" if table.db else table.name


def reads_whole_rows(select: exp.Select, alias: str) -> bool:
    """Whether a SELECT reads all columns of a table at once, so that another column would show."""
    return any(
        isinstance(one.this, exp.Star) and one.table == alias for one in select.find_all(exp.Column)
    )


class _View:
    def __init__(
        self, name: str, column: str, definitions: Mapping[str, Definition], depth: int
    ) -> None:
        if name not in definitions:
            raise NotExpandable(f"{name} is no view that can be read into")
        if not definitions[name].trusted:
            raise NotExpandable(f"{name} is a security barrier, or its tables have row security")
        if depth > MAX_DEPTH:
            raise NotExpandable(f"{name} lies too deep within other views")
        self._name, self._column, self._depth = name, column, depth
        self._definitions = definitions
        sql = definitions[name].sql.strip().rstrip(";")
        self._select = self._parsed(sql)
        self._text = SqlText(sql)
        self._edits: list[tuple[int, int, str]] = []
        self._added: list[str] = []
        self._tables = self._own_tables()
        self._expanded: dict[str, ExpandedObject | None] = {}

    def expansion(self) -> Expansion:
        from_at = self._text.from_clause()
        if from_at is None:
            raise NotExpandable(f"{self._name} reads from no table")
        spans = self._text.select_list()
        items = self._select.expressions
        if len(spans) != len(items):
            raise NotExpandable(f"{self._name} has a select list that cannot be told apart")
        for item, span in zip(items, spans, strict=True):
            if item.alias_or_name == self._column:
                found = self._resolve(item.unalias(), span)
                break
        else:
            raise NotExpandable(f"{self._name} does not say what {self._column} is")
        if not isinstance(found, ExpandedObject):
            raise NotExpandable(f"{self._name} does not build {self._column} with {BUILD}")
        added = "".join(f", {item}" for item in self._added)
        self._edits.append((from_at, from_at, f"{added} "))
        sql = self._text.sql
        for start, end, text in sorted(self._edits, reverse=True):
            sql = sql[:start] + text + sql[end:]
        return Expansion(sql, found)

    def _parsed(self, sql: str) -> exp.Select:
        try:
            parsed = sqlglot.parse_one(sql, dialect="postgres")
        except SqlglotError as error:
            raise NotExpandable(f"the definition of {self._name} cannot be parsed") from error
        if not isinstance(parsed, exp.Select):
            raise NotExpandable(f"{self._name} is more than one SELECT")
        for clause, keyword in (("distinct", "DISTINCT"), ("with_", "WITH"), ("with", "WITH")):
            if parsed.args.get(clause):
                raise NotExpandable(f"{self._name} uses {keyword}")
        return parsed

    def _own_tables(self) -> dict[str, exp.Table]:
        """The tables of its own FROM, not of sub-selects, by their names or aliases."""
        return {
            table.alias_or_name: table
            for table in self._select.find_all(exp.Table)
            if table.find_ancestor(exp.Select) is self._select
        }

    def _resolve(self, node: Node, span: Span) -> ExpandedColumn | ExpandedObject:
        while isinstance(node, exp.Paren):
            node, span = node.this, self._text.within_parentheses(span)
        if isinstance(node, exp.Anonymous):
            arguments = self._text.arguments(span)
            if node.name.lower() == BUILD:
                return ExpandedObject(dict(self._members(node, arguments)))
            if node.name.lower() == "to_jsonb" and len(arguments) == 1:
                [argument] = node.expressions
                if not isinstance(argument, exp.Star) and not argument.is_star:
                    return self._resolve(argument, arguments[0])
        imported = None
        stored = isinstance(node, exp.Column) and len(node.parts) <= 2
        if isinstance(node, exp.Column) and stored:
            # PostgreSQL names no table where there is only one.
            only = next(iter(self._tables)) if len(self._tables) == 1 else node.table
            imported = self._imported(only, node.name)
        return imported or self._add(self._text.text(span), stored=stored)

    def _members(
        self, call: exp.Anonymous, arguments: list[Span]
    ) -> Iterator[tuple[str, ExpandedColumn | ExpandedObject]]:
        nodes = call.expressions
        if len(nodes) % 2 or len(nodes) != len(arguments):
            raise NotExpandable(f"{self._name} gives {BUILD} a key without a value")
        seen: set[str] = set()
        for key, value, span in zip(nodes[::2], nodes[1::2], arguments[1::2], strict=True):
            name = _literal(key)
            if name is None:
                raise NotExpandable(f"{self._name} computes a key of {BUILD}")
            if name in seen:
                raise NotExpandable(f"{self._name} gives {BUILD} the key {name} twice")
            seen.add(name)
            yield name, self._resolve(value, span)

    def _add(self, sql: str, *, stored: bool) -> ExpandedColumn:
        column = f"graphql_{len(self._added)}"
        self._added.append(f"{sql} AS {quoted(column)}")
        return ExpandedColumn(column, stored)

    def _imported(self, table: str, column: str) -> ExpandedObject | None:
        """A document of another view in FROM, which is expanded in its place."""
        key = f"{table}.{column}"
        if key not in self._expanded:
            self._expanded[key] = self._expand_table(table, column)
        return self._expanded[key]

    def _expand_table(self, alias: str, column: str) -> ExpandedObject | None:
        table = self._tables.get(alias)
        taken = any(key.startswith(f"{alias}.") for key, one in self._expanded.items() if one)
        if table is None or taken or reads_whole_rows(self._select, alias):
            return None
        try:
            name = relation_name(table)
            inner = _View(name, column, self._definitions, self._depth + 1).expansion()
        except NotExpandable:
            return None
        first = table.args.get("db") or table.this
        as_alias = "" if table.alias else f" AS {quoted(alias)}"
        present = quoted("graphql_present")
        select = f"(SELECT *, TRUE AS {present} FROM ({inner.select}) AS expanded){as_alias}"
        self._edits.append((first.meta["start"], table.this.meta["end"] + 1, select))
        return self._lifted(inner.document, quoted(alias), "graphql_present")

    def _lifted(self, of: ExpandedObject, table: str, present: str | None) -> ExpandedObject:
        """The columns of a table in FROM, as columns of this view."""

        def lift(column: str, stored: bool) -> ExpandedColumn:
            return self._add(f"{table}.{quoted(column)}", stored=stored)

        return ExpandedObject(
            {
                key: lift(one.column, one.stored)
                if isinstance(one, ExpandedColumn)
                else self._lifted(one, table, one.present)
                for key, one in of.members.items()
            },
            None if present is None else lift(present, True).column,
        )


def _literal(node: Node) -> str | None:
    """The string that a node is, with or without a cast to text; None if it is another."""
    if isinstance(node, exp.Cast) and node.to.is_type(exp.DataType.Type.TEXT):
        node = node.this
    return node.name if isinstance(node, exp.Literal) and node.is_string else None
