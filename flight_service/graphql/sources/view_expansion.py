"""The expressions under a view's own `jsonb_build_object`, beside the document that they build.

A view that builds its document does so for every row, and a field read from it is built and taken
apart again. Its definition says what each field is before: the same text is put beside the document
as a typed column, and the document, which nothing reads any more, is not built. Nothing of the
definition is rewritten: PostgreSQL's own text of it is cut where its parser says, so the rows and
the values are the view's.

It is left alone wherever that would not be sure: set operations, DISTINCT, common table
expressions, a security barrier, a table with row security or without the right to read it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from flight_service.graphql.postgres.sql import quoted

BUILD = "jsonb_build_object"
DEEPEST = 8
"""Views within views that are followed."""
OPENING = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET))
CLOSING = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET))


class NotTheSame(Exception):
    """The view's expressions cannot be told, or not surely; the message says why."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A view as the database defines it."""

    sql: str
    trusted: bool
    """Whether its tables may be read directly with the same result as through the view."""


@dataclass(frozen=True, slots=True)
class Part:
    """A member of a document: the column beside it that holds it."""

    column: str
    stored: bool
    """Whether it is a table's column as it is, rather than computed for the row."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An object within a document, by its members."""

    members: Mapping[str, "Part | Parts"]
    present: str | None = None
    """The column that is true where the object is there, null where it is not."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A view with columns beside its own, for the members of its document."""

    select: str
    parts: Parts


def expand(name: str, column: str, definitions: Mapping[str, Definition]) -> Expansion:
    """Puts the members of a view's document column beside it.

    Raises:
        NotTheSame: it cannot be told what they are.
    """
    return _View(name, column, definitions, 0).expansion()


def tables_of(sql: str) -> list[str]:
    """The relations that a definition reads, as it writes them."""
    try:
        parsed = sqlglot.parse_one(sql, dialect="postgres")
    except SqlglotError:
        return []
    return sorted({_name(table) for table in parsed.find_all(exp.Table) if table.name})


class _View:
    def __init__(
        self, name: str, column: str, definitions: Mapping[str, Definition], depth: int
    ) -> None:
        if name not in definitions:
            raise NotTheSame(f"{name} is no view that can be read into")
        if not definitions[name].trusted:
            raise NotTheSame(f"{name} is a security barrier, or its tables have row security")
        if depth > DEEPEST:
            raise NotTheSame(f"{name} lies too deep within other views")
        self._name, self._column, self._depth = name, column, depth
        self._definitions = definitions
        self._sql = definitions[name].sql.strip().rstrip(";")
        self._select = self._parsed()
        self._tokens = Postgres().tokenize(self._sql)
        self._edits: list[tuple[int, int, str]] = []
        self._added: list[str] = []
        self._tables = self._own_tables()
        self._expanded: dict[str, Parts | None] = {}

    def expansion(self) -> Expansion:
        items, from_at = self._items()
        found = next((item for item in items if self._named(item) == self._column), None)
        if found is None:
            raise NotTheSame(f"{self._name} does not say what {self._column} is")
        aliased = len(found) > 2 and found[-2].token_type == TokenType.ALIAS
        parts = self._resolve(found[:-2] if aliased else found)
        if not isinstance(parts, Parts):
            raise NotTheSame(f"{self._name} does not build {self._column} with {BUILD}")
        added = "".join(f", {item}" for item in self._added)
        self._edits.append((from_at, from_at, f"{added} "))
        sql = self._sql
        for start, end, text in sorted(self._edits, reverse=True):
            sql = sql[:start] + text + sql[end:]
        return Expansion(sql, parts)

    def _parsed(self) -> exp.Select:
        try:
            parsed = sqlglot.parse_one(self._sql, dialect="postgres")
        except SqlglotError as error:
            raise NotTheSame(f"the definition of {self._name} cannot be parsed") from error
        if not isinstance(parsed, exp.Select):
            raise NotTheSame(f"{self._name} is more than one SELECT")
        for clause, called in (("distinct", "DISTINCT"), ("with_", "WITH"), ("with", "WITH")):
            if parsed.args.get(clause):
                raise NotTheSame(f"{self._name} uses {called}")
        return parsed

    def _own_tables(self) -> dict[str, exp.Table]:
        """The tables of its own FROM, not of sub-selects, by the names that it calls them."""
        return {
            table.alias_or_name: table
            for table in self._select.find_all(exp.Table)
            if table.find_ancestor(exp.Select) is self._select
        }

    def _items(self) -> tuple[list[list[Token]], int]:
        """The select list's items, and the place where it ends."""
        depth, items, item = 0, [], []
        for token in self._tokens[1:]:
            depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
            if depth == 0 and token.token_type == TokenType.FROM:
                return [*items, item], token.start
            if depth == 0 and token.token_type == TokenType.COMMA:
                items.append(item)
                item = []
            else:
                item.append(token)
        raise NotTheSame(f"{self._name} reads from no table")

    def _named(self, item: Sequence[Token]) -> str:
        return item[-1].text

    def _resolve(self, tokens: Sequence[Token]) -> Part | Parts:
        while _wrapped(tokens):
            tokens = tokens[1:-1]
        if tokens and tokens[0].text.lower() == BUILD and _wrapped(tokens[1:]):
            return Parts(dict(self._pairs(tokens[2:-1])))
        if tokens and tokens[0].text.lower() == "to_jsonb" and _wrapped(tokens[1:]):
            inner = tokens[2:-1]
            if len(list(_split(inner))) == 1 and inner[-1].token_type != TokenType.STAR:
                return self._resolve(inner)
        stored = _is_path(tokens) or len(tokens) == 1
        if stored and len(self._tables) == 1:
            # PostgreSQL names no table where there is only one.
            imported = self._imported(next(iter(self._tables)), tokens[-1].text)
        elif stored and len(tokens) == 3:
            imported = self._imported(tokens[0].text, tokens[2].text)
        else:
            imported = None
        return imported or self._part(self._text(tokens), stored=stored)

    def _pairs(self, tokens: Sequence[Token]) -> Iterator[tuple[str, Part | Parts]]:
        arguments = list(_split(tokens))
        if len(arguments) % 2:
            raise NotTheSame(f"{self._name} gives {BUILD} a key without a value")
        seen: set[str] = set()
        for key, value in zip(arguments[::2], arguments[1::2], strict=True):
            if key[0].token_type != TokenType.STRING or not (
                len(key) == 1 or [one.text.lower() for one in key[1:]] == ["::", "text"]
            ):
                raise NotTheSame(f"{self._name} computes a key of {BUILD}")
            if key[0].text in seen:
                raise NotTheSame(f"{self._name} gives {BUILD} the key {key[0].text} twice")
            seen.add(key[0].text)
            yield key[0].text, self._resolve(value)

    def _part(self, sql: str, *, stored: bool) -> Part:
        column = f"graphql_{len(self._added)}"
        self._added.append(f"{sql} AS {quoted(column)}")
        return Part(column, stored)

    def _imported(self, table: str, column: str) -> Parts | None:
        """A document of another view in FROM, which is expanded in its place."""
        key = f"{table}.{column}"
        if key not in self._expanded:
            self._expanded[key] = self._expand_table(table, column)
        return self._expanded[key]

    def _expand_table(self, called: str, column: str) -> Parts | None:
        table = self._tables.get(called)
        taken = any(key.startswith(f"{called}.") for key, one in self._expanded.items() if one)
        if table is None or taken or self._is_whole_row(called):
            return None
        try:
            inner = _View(_name(table), column, self._definitions, self._depth + 1).expansion()
        except NotTheSame:
            return None
        first = table.args.get("db") or table.this
        alias = "" if table.alias else f" AS {quoted(called)}"
        present = quoted("graphql_present")
        select = f"(SELECT *, TRUE AS {present} FROM ({inner.select}) AS expanded){alias}"
        self._edits.append((first.meta["start"], table.this.meta["end"] + 1, select))
        return self._lifted(inner.parts, quoted(called), "graphql_present")

    def _lifted(self, parts: Parts, table: str, present: str | None) -> Parts:
        """The parts of a table in FROM, as parts of this view."""

        def lift(column: str, stored: bool) -> Part:
            return self._part(f"{table}.{quoted(column)}", stored=stored)

        return Parts(
            {
                key: lift(one.column, one.stored)
                if isinstance(one, Part)
                else self._lifted(one, table, one.present)
                for key, one in parts.members.items()
            },
            None if present is None else lift(present, True).column,
        )

    def _is_whole_row(self, called: str) -> bool:
        return any(
            one.text == called and dot.text == "." and star.text == "*"
            for one, dot, star in zip(
                self._tokens, self._tokens[1:], self._tokens[2:], strict=False
            )
        )

    def _text(self, tokens: Sequence[Token]) -> str:
        return self._sql[tokens[0].start : tokens[-1].end + 1]


def _name(table: exp.Table) -> str:
    schema = table.db
    return f"{schema}.{table.name}" if schema else table.name


def _wrapped(tokens: Sequence[Token]) -> bool:
    """Whether the first token opens what the last one closes."""
    if len(tokens) < 2 or tokens[0].token_type != TokenType.L_PAREN:
        return False
    depth = 0
    for n, token in enumerate(tokens):
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
        if depth == 0:
            # A sub-select keeps its parentheses.
            return n == len(tokens) - 1 and tokens[1].token_type != TokenType.SELECT
    return False


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    depth, part = 0, []
    for token in tokens:
        depth += (token.token_type in OPENING) - (token.token_type in CLOSING)
        if depth == 0 and token.token_type == TokenType.COMMA:
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _is_path(tokens: Sequence[Token]) -> bool:
    return len(tokens) == 3 and tokens[1].token_type == TokenType.DOT
