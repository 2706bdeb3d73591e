"""Where a statement ends and its data begins, and which format either of them has.

ClickHouse's HTTP interface takes an INSERT and its rows as one text: the statement may stand in the
URL and the rows in the body, or both in the body. The front must tell them apart without reading
the rows, so it looks for the words that matter outside of strings, quoted names and comments.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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

DEFAULT_FORMAT = "TabSeparated"
STREAMED = frozenset({b"SELECT", b"WITH", b"FROM", b"("})
"""How a statement begins whose result can be long."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that means something: no space, no comment."""

    kind: str
    text: bytes
    start: int
    end: int

    def says(self, *words: bytes) -> bool:
        return self.kind == "word" and self.text.upper() in words


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as the front needs to know it."""

    text: str
    """What the engine is to run. Of an INSERT with rows, the part before FORMAT."""
    format: str | None
    """The format that the statement names, of its result or of its rows."""
    takes_rows: bool
    """Rows follow, in `format`."""
    is_query: bool
    """Its result can be streamed."""
    rows: bytes = b""
    """The rows, or their beginning, that stood behind the statement."""


def parse(text: bytes, *, rows_follow: bool) -> Statement:
    """Reads a statement; `rows_follow` says that a body of its own comes after it."""
    tokens = _tokens(text)
    first = next(tokens, None)
    if first is None:
        return Statement("", None, takes_rows=False, is_query=False)
    if first.says(b"INSERT"):
        return _insert(text, tokens, rows_follow)
    named = _format_of([first, *tokens])
    is_query = first.text.upper() in STREAMED
    return Statement(text.decode(), named, takes_rows=False, is_query=is_query)


def _tokens(text: bytes) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind == "tag":
            kind = "string"
        if kind != "space":
            yield Token(kind, match.group(), match.start(), match.end())


def _insert(text: bytes, tokens: Iterator[Token], rows_follow: bool) -> Statement:
    """`INSERT INTO t (…) [SETTINGS …] FORMAT F` takes rows; VALUES and SELECT bring their own.

    No token behind the format's name is looked at: rows may be anything.
    """
    depth = 0
    for number, token in enumerate(tokens):
        depth += {b"(": 1, b")": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if depth or number < 1:
            continue
        if token.says(b"SELECT", b"WITH", b"WATCH"):
            return Statement(text.decode(), None, takes_rows=False, is_query=False)
        if token.says(b"VALUES"):
            if rows_follow and next(tokens, None) is None:
                before = text[: token.start].decode()
                return Statement(before, "Values", takes_rows=True, is_query=False)
            return Statement(text.decode(), "Values", takes_rows=False, is_query=False)
        if token.says(b"FORMAT") and (name := next(tokens, None)):
            return Statement(
                text[: token.start].decode(),
                name.text.decode(),
                takes_rows=True,
                is_query=False,
                rows=_behind(text[name.end :]),
            )
    return Statement(text.decode(), None, takes_rows=rows_follow, is_query=False)


def _behind(rest: bytes) -> bytes:
    """The rows after the format's name: spaces up to and with the first newline are not theirs."""
    lead = re.match(rb"[ \t\r]*;?[ \t\r]*\n?", rest)
    return rest[lead.end() :] if lead else rest


def _format_of(tokens: list[Token]) -> str | None:
    """The format of a result: the last `FORMAT name` outside of brackets."""
    depth, named = 0, None
    for token, following in pairwise(tokens):
        depth += {b"(": 1, b")": -1}.get(token.text, 0) if token.kind == "sign" else 0
        if not depth and token.says(b"FORMAT") and following.kind == "word":
            named = following.text.decode()
    return named
