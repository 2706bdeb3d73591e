"""Where the parts of a SQL text begin and end.

sqlglot's tree says what a text consists of, but not where most expressions lie, and SQL that is
written from the tree is not the same: `date_part('year'::text, at)` becomes an EXTRACT of another
type, and `now()` becomes CURRENT_TIMESTAMP. A view's text is therefore never written again. The
tree says which parts to take, and this module finds them by the brackets around them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.tokenizer_core import TokenType

OPENING = frozenset((TokenType.L_PAREN, TokenType.L_BRACKET))
CLOSING = frozenset((TokenType.R_PAREN, TokenType.R_BRACKET))


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, by the numbers of its first token and of the one after its last."""

    first: int
    end: int


class SqlText:
    """A SELECT, and the spans of its parts.

    Raises:
        sqlglot.errors.SqlglotError: it has no tokens that PostgreSQL knows.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._tokens = Postgres().tokenize(sql)
        self._closed_by: dict[int, int] = {}
        opened: list[int] = []
        for number, token in enumerate(self._tokens):
            if token.token_type in OPENING:
                opened.append(number)
            elif token.token_type in CLOSING and opened:
                self._closed_by[opened.pop()] = number

    def text(self, span: Span) -> str:
        """The text of a span."""
        start, end = self.bounds(span)
        return self.sql[start:end]

    def bounds(self, span: Span) -> tuple[int, int]:
        """Where a span begins and ends in the text, in characters."""
        return self._tokens[span.first].start, self._tokens[span.end - 1].end + 1

    def from_clause(self) -> int | None:
        """Where FROM begins in the text; None if it has none."""
        number = self._from()
        return None if number is None else self._tokens[number].start

    def select_list(self) -> list[Span]:
        """The expressions of the select list, without their aliases' keyword and name."""
        spans = []
        for span in self._split(Span(1, self._from() or len(self._tokens))):
            has_alias = (
                span.end - span.first > 2
                and self._tokens[span.end - 2].token_type == TokenType.ALIAS
            )
            spans.append(Span(span.first, span.end - 2) if has_alias else span)
        return spans

    def arguments(self, call: Span) -> list[Span]:
        """The arguments of a function call, which begins with the function's name."""
        return list(self._split(Span(call.first + 2, call.end - 1)))

    def within_parentheses(self, span: Span) -> Span:
        """What lies within the parentheses around a span."""
        return Span(span.first + 1, span.end - 1)

    def sub_select(self, select: exp.Select) -> Span | None:
        """A SELECT within parentheses in this one, without the parentheses."""
        position = _own_position(select)
        if position is None:
            return None
        around = [
            (first, end)
            for first, end in self._closed_by.items()
            if self._tokens[first].start < position < self._tokens[end].start
            and self._tokens[first + 1].token_type == TokenType.SELECT
        ]
        if not around:
            return None
        first, end = max(around)
        return Span(first + 1, end)

    def _from(self) -> int | None:
        for number in self._outside_brackets(Span(0, len(self._tokens))):
            if self._tokens[number].token_type == TokenType.FROM:
                return number
        return None

    def _split(self, span: Span) -> Iterator[Span]:
        """The parts of a span between its commas."""
        first = span.first
        for number in self._outside_brackets(span):
            if self._tokens[number].token_type == TokenType.COMMA:
                yield Span(first, number)
                first = number + 1
        if first < span.end:
            yield Span(first, span.end)

    def _outside_brackets(self, span: Span) -> Iterator[int]:
        """The tokens of a span, except those within brackets."""
        number = span.first
        while number < span.end:
            yield number
            number = self._closed_by.get(number, number) + 1


def _own_position(select: exp.Select) -> int | None:
    """The position of some part of a SELECT that is not a part of one within it."""
    for one in select.find_all(exp.Identifier, exp.Star, exp.Literal):
        if one.find_ancestor(exp.Select) is select and "start" in one.meta:
            return one.meta["start"]
    return None
