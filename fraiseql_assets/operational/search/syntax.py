"""Query strings: Elasticsearch's `query_string`, checked before it is sent.

The server's message on a syntax error has neither the position nor a remedy. So the text is parsed
here first: brackets and quotes are paired, fields are mapped, and values have the type of their
field. A valid text is sent as it was written, with unsupported operators escaped.
"""

import re
from dataclasses import dataclass

from fraiseql_assets.operational.search.values import (
    PATH_EXAMPLE,
    QueryMistake,
    check_value,
    refuse_number,
    too_long,
    type_of_field,
)

MOST_CHARACTERS = 4_096
MOST_DEPTH = 50

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<field>(?:\\.|[^\s:"()\[\]{}/\\^~!])+):
  | (?P<quoted>"(?:\\.|[^"\\])*")
  | (?P<range>[\[{])
  | (?P<open>\()
  | (?P<close>\))
  | (?P<boost>\^[\d.]*)
  | (?P<fuzzy>~[\d.]*)
  | (?P<comparison>(?:>=|<=|>|<))
  | (?P<word>(?:\\.|[^\s:"()\[\]{}\\^~><])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_RANGE = re.compile(
    r"""(?P<low>"[^"]*"|[^\s"\]}]+)\s+(?:TO)\s+(?P<high>"[^"]*"|[^\s"\]}]+)\s*[\]}]""",
    re.VERBOSE,
)
_OPERATORS = ("AND", "OR", "NOT", "&&", "||")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A valid query string."""

    sent: str
    """The string to send."""
    too_long: QueryMistake | None
    """What is wrong with it if the server limits the length of indexed values of paths."""


def parse(query: str) -> ParsedQuery:
    """Parses a query string.

    Raises:
        QueryMistake: it is wrong.
    """
    if len(query) > MOST_CHARACTERS:
        raise QueryMistake(
            f"A query has at most {MOST_CHARACTERS:,} characters.", query, MOST_CHARACTERS
        )
    return _Reader(query).read()


class _Reader:
    """Parses a query in one pass."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._opened: list[tuple[int, str | None]] = []
        self._sent: list[str] = []
        self._too_long: QueryMistake | None = None
        self._field: str | None = None
        self._expects = "begin"

    def read(self) -> ParsedQuery:
        position = 0
        while position < len(self._query):
            found = _TOKEN.match(self._query, position)
            if found is None:
                raise self._unreadable(position)
            token = _Token(str(found.lastgroup), found[0], position)
            position = found.end()
            if token.kind == "range":
                position = self._range(token, position)
            else:
                self._take(token, position)
        if self._opened:
            raise self._mistake("This bracket is not closed.", self._opened[-1][0])
        if self._expects in ("value", "operand"):
            raise self._mistake(self._missing(), len(self._query))
        return ParsedQuery("".join(self._sent), self._too_long)

    def _take(self, token: _Token, end: int) -> None:
        match token.kind:
            case "space":
                if self._expects == "value":
                    raise self._mistake(self._missing(), token.start)
                self._sent.append(" ")
            case "field":
                self._begin_field(token)
            case "open":
                if len(self._opened) >= MOST_DEPTH:
                    raise self._mistake(f"More than {MOST_DEPTH} brackets deep.", token.start)
                outer = self._opened[-1][1] if self._opened else None
                self._opened.append((token.start, self._field or outer))
                self._field, self._expects = None, "operand"
                self._sent.append("(")
            case "close":
                self._close(token)
            case "quoted":
                self._value(token, token.text[1:-1], quoted=True)
            case "word":
                self._word(token)
            case "comparison":
                self._compare(token, end)
            case _:
                self._suffix(token)

    def _begin_field(self, token: _Token) -> None:
        if self._expects == "value":
            raise self._mistake(
                "A field follows a field. Quote a text that holds `:`.", token.start
            )
        text = token.text[:-1]
        lead = len(text) - len(text.lstrip("+-!"))
        name = text[lead:].replace("\\", "")
        where = token.start + lead
        if name == "_exists_":
            self._field = name
        else:
            type_of_field(name, self._query, where)
            self._field = name
        self._expects = "value"
        self._sent.append(token.text)

    def _close(self, token: _Token) -> None:
        if not self._opened:
            raise self._mistake("This bracket closes no other.", token.start)
        if self._expects in ("value", "operand"):
            raise self._mistake(self._missing(), token.start)
        self._opened.pop()
        self._field, self._expects = None, "any"
        self._sent.append(")")

    def _word(self, token: _Token) -> None:
        text = token.text
        if text in _OPERATORS and self._expects != "value":
            if self._expects in ("operand", "begin") and text not in ("NOT",):
                raise self._mistake(f"{text} needs something before it.", token.start)
            self._expects = "operand"
            self._sent.append(text)
            return
        self._value(token, text, quoted=False)

    def _value(self, token: _Token, text: str, *, quoted: bool) -> None:
        field = self._current()
        if field == "_exists_":
            type_of_field(text, self._query, token.start)
        elif field:
            self._check_value(field, text, token.start, quoted=quoted)
        self._field, self._expects = None, "any"
        sent = token.text
        if not quoted:
            # The server would read a regular expression.
            sent = re.sub(r"(?<!\\)/", r"\\/", sent)
        self._sent.append(sent)

    def _check_value(self, field: str, text: str, start: int, *, quoted: bool) -> None:
        kind = type_of_field(field, self._query, start)
        if text == "*" and not quoted:
            return
        check_value(field, kind, text, self._query, start)
        wild = not quoted and re.search(r"(?<!\\)[*?]", text)
        if kind == "flattened" and wild and not re.fullmatch(r"[^*?]+\*", text):
            raise self._mistake(
                f"A path such as {PATH_EXAMPLE} takes `*` at a value's end only.", start
            )
        if kind == "flattened" and self._sent[-1][:1] not in "<>":
            self._too_long = self._too_long or too_long(field, text, self._query, start)

    def _compare(self, token: _Token, end: int) -> None:
        field = self._current()
        if field is None or field == "_exists_" or self._expects != "value":
            raise self._mistake(
                f"{token.text} compares a field, as in duration_ms:{token.text}100. Quote a text "
                "that holds it.",
                token.start,
            )
        if type_of_field(field, self._query, token.start) == "flattened":
            found = re.match(r"[^\s()]+", self._query[end:])
            refuse_number(field, found[0] if found else "", self._query, end)
        self._sent.append(token.text)

    def _range(self, token: _Token, end: int) -> int:
        field = self._current()
        if field is None or field == "_exists_":
            raise self._mistake(
                "A range belongs to a field, as in duration_ms:[100 TO 500].", token.start
            )
        found = _RANGE.match(self._query, end)
        if found is None:
            raise self._mistake("A range is written [low TO high]; * is open.", token.start)
        kind = type_of_field(field, self._query, token.start)
        for edge in ("low", "high"):
            text = found[edge].strip('"')
            if text == "*":
                continue
            check_value(field, kind, text, self._query, found.start(edge))
            if kind == "flattened":
                refuse_number(field, text, self._query, found.start(edge))
        self._field, self._expects = None, "any"
        self._sent.append(self._query[token.start : found.end()])
        return found.end()

    def _suffix(self, token: _Token) -> None:
        """A boost or a fuzziness after a value."""
        before = self._query[token.start - 1 : token.start]
        if self._expects != "any" or not before or before.isspace():
            raise self._mistake(
                f"{token.text} stands behind a word. Quote a text that holds it.", token.start
            )
        if token.kind == "boost" and not re.fullmatch(r"\^\d+(\.\d+)?", token.text):
            raise self._mistake("A boost is a number, as in word^2.", token.start)
        self._sent.append(token.text)

    def _current(self) -> str | None:
        return self._field or (self._opened[-1][1] if self._opened else None)

    def _missing(self) -> str:
        if self._expects == "value":
            return f"The field {self._field} has no value; write it without a space after `:`."
        return "Something is missing here."

    def _unreadable(self, position: int) -> QueryMistake:
        character = self._query[position]
        if character == '"':
            return self._mistake("This quote is not closed.", position)
        if character == ":":
            return self._mistake(
                "No field stands before `:`. Quote a text that holds it.", position
            )
        return self._mistake(
            f"{character} cannot stand here. Quote a text that holds it.", position
        )

    def _mistake(self, message: str, position: int) -> QueryMistake:
        return QueryMistake(message, self._query, position)
