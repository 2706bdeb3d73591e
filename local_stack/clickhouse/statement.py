"""Separates a statement from its rows, and finds the format of the result or of the rows.

ClickHouse's HTTP interface accepts an INSERT and its rows as one text. The statement is in the URL
and the rows are in the body, or both are in the body. The front must separate them without reading
the rows, so it looks for keywords outside of strings, quoted names, comments and brackets.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from local_stack.clickhouse.errors import refusal

_TOKEN = re.compile(
    rb"""
      (?P<space>\s+ | --[^\n]* | \#[!\s][^\n]* | /\*.*?\*/)
    | (?P<string>'(?:[^'\\]|\\.|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*`)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d[\w.]*)
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_QUERIES = (b"SELECT", b"WITH", b"FROM")
_READS = (b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"USE", b"SET")


@dataclass(frozen=True, slots=True)
class Statement:
    """What the front needs to know about a statement."""

    kind: Literal["rows", "query", "read", "command"]
    """`rows` takes the rows that follow, `query` can have a long result, `read` changes nothing."""
    head: str
    """The statement up to its FORMAT or its end. All of it if it takes rows."""
    tail: str = ""
    """The text after the name of the format."""
    format: str | None = None
    """The format in the statement, of its result or of its rows."""
    rows: bytes = b""
    """The rows after the statement, or their beginning."""

    @property
    def text(self) -> str:
        """The statement as the client sent it, without rows."""
        named = f" FORMAT {self.format}" if self.format and self.kind != "rows" else ""
        return f"{self.head}{named}{self.tail}"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: bytes
    start: int
    end: int

    def says(self, *words: bytes) -> bool:
        return self.kind == "word" and self.text.upper() in words

    def signs(self, sign: bytes) -> bool:
        return self.kind == "sign" and self.text == sign


def parse(text: bytes) -> Statement:
    """Parses a statement. If it takes rows, finds where they begin.

    Raises:
        QueryError: it is empty, holds several statements, is not UTF-8, or names a file of the
            client.
    """
    tokens = _outside_brackets(text)
    first = next(tokens, None)
    if first is None or first.signs(b";"):
        raise refusal(62, "SYNTAX_ERROR", "Empty query")
    if first.says(b"INSERT"):
        return _insert(text, tokens)
    return _other(text, [first, *tokens])


def _tokens(text: bytes) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind != "space":
            yield _Token("string" if kind == "tag" else kind, match[0], match.start(), match.end())


def _outside_brackets(text: bytes) -> Iterator[_Token]:
    """The tokens outside of brackets, and the outermost brackets."""
    depth = 0
    for token in _tokens(text):
        depth -= token.kind == "sign" and token.text in b")]}"
        if depth <= 0:
            yield token
        depth += token.kind == "sign" and token.text in b"([{"


def _insert(text: bytes, tokens: Iterator[_Token]) -> Statement:
    """`INSERT INTO t (…) [SETTINGS …] FORMAT F` and `… VALUES` take rows, unlike `INSERT … SELECT`.

    It reads no token after the name of the format, because rows can be anything.
    """
    before: _Token | None = None
    for token in tokens:
        is_name = (
            before is None or before.says(b"INTO", b"TABLE", b"FUNCTION") or before.signs(b".")
        )
        if is_name:
            pass
        elif token.says(b"SELECT", b"WITH", b"WATCH"):
            return _other(text, list(_outside_brackets(text)))
        elif token.says(b"INFILE") and before is not None and before.says(b"FROM"):
            raise refusal(
                78,
                "UNKNOWN_TYPE_OF_QUERY",
                "Query has infile and was sent directly to the server",
            )
        elif token.says(b"VALUES"):
            return Statement(
                "rows", _decoded(text[: token.start]), format="Values", rows=text[token.end :]
            )
        elif token.says(b"FORMAT") and (name := next(tokens, None)):
            return Statement(
                "rows",
                _decoded(text[: token.start]),
                format=_decoded(name.text),
                rows=_rows_after_format(text[name.end :]),
            )
        before = token
    return Statement("rows", _decoded(text))


def _rows_after_format(rest: bytes) -> bytes:
    """The rows after the name of the format, without spaces up to the first newline."""
    lead = re.match(rb"[ \t\r]*;?[ \t\r]*\n?", rest)
    return rest[lead.end() :] if lead else rest


def _other(text: bytes, tokens: Sequence[_Token]) -> Statement:
    """A statement without rows: its kind and its format."""
    tokens = _only_one(text, tokens)
    kind = _kind(tokens)
    found = _format_of(tokens)
    if found is None:
        return Statement(kind, _decoded(text[: tokens[-1].end]))
    word, name = found
    return Statement(
        kind,
        _decoded(text[: word.start]),
        tail=_decoded(text[name.end : tokens[-1].end]),
        format=_decoded(name.text),
    )


def _only_one(text: bytes, tokens: Sequence[_Token]) -> Sequence[_Token]:
    """The tokens without a semicolon at the end."""
    for position, token in enumerate(tokens):
        if token.signs(b";"):
            if any(not later.signs(b";") for later in tokens[position:]):
                rest = _decoded(text[token.start :])[:100]
                raise refusal(
                    62,
                    "SYNTAX_ERROR",
                    f"Syntax error (Multi-statements are not allowed): failed at position "
                    f"{token.start + 1} (end of query): {rest}",
                )
            return tokens[:position]
    return tokens


def _kind(tokens: Sequence[_Token]) -> Literal["query", "read", "command"]:
    for token, following in pairwise(tokens):
        if token.says(b"INSERT") and following.says(b"INTO"):
            return "command"
        if token.says(b"INTO") and following.says(b"OUTFILE"):
            raise refusal(480, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
    if tokens and (tokens[0].says(*_QUERIES) or tokens[0].signs(b"(")):
        return "query"
    return "read" if tokens and tokens[0].says(*_READS) else "command"


def _format_of(tokens: Sequence[_Token]) -> tuple[_Token, _Token] | None:
    """FORMAT and the name after it, if nothing but SETTINGS follows."""
    for position in range(len(tokens) - 2, 0, -1):
        word, name = tokens[position], tokens[position + 1]
        if word.says(b"FORMAT") and name.kind == "word" and not tokens[position - 1].signs(b"."):
            ends = position + 2 == len(tokens) or tokens[position + 2].says(b"SETTINGS")
            return (word, name) if ends else None
    return None


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise refusal(36, "BAD_ARGUMENTS", f"The statement is not UTF-8: {error}") from error
