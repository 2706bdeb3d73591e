"""Where a statement ends and its rows begin, and which format either of them has.

ClickHouse's HTTP interface takes an INSERT and its rows as one text: the statement may stand in the
URL and the rows in the body, or both in the body. The front must tell them apart without reading
the rows, so it looks for the words that matter outside of strings, quoted names, comments and
brackets.
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
    """A statement as the front needs to know it."""

    kind: Literal["rows", "query", "read", "command"]
    """It takes the rows that follow; its result can be long; it changes nothing; anything else."""
    head: str
    """The statement up to its FORMAT, or to its end; of one that takes rows, all of it."""
    tail: str = ""
    """What stands behind the format's name."""
    format: str | None = None
    """The format that it names, of its result or of its rows."""
    rows: bytes = b""
    """The rows, or their beginning, that stood behind the statement."""

    @property
    def text(self) -> str:
        """The statement as it came, its rows left out."""
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
    """Reads a statement and, where it takes rows, finds where they begin.

    Raises:
        QueryError: it is empty, several statements, no UTF-8, or reads or writes a file of the
            client's.
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
    """The tokens that stand in no bracket, and the outermost brackets themselves."""
    depth = 0
    for token in _tokens(text):
        depth -= token.kind == "sign" and token.text in b")]}"
        if depth <= 0:
            yield token
        depth += token.kind == "sign" and token.text in b"([{"


def _insert(text: bytes, tokens: Iterator[_Token]) -> Statement:
    """`INSERT INTO t (…) [SETTINGS …] FORMAT F` and `… VALUES` take rows, a SELECT brings its own.

    No token behind the format's name is looked at: rows may be anything.
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
                rows=_behind(text[name.end :]),
            )
        before = token
    return Statement("rows", _decoded(text))


def _behind(rest: bytes) -> bytes:
    """The rows after the format's name: spaces up to and with the first newline are not theirs."""
    lead = re.match(rb"[ \t\r]*;?[ \t\r]*\n?", rest)
    return rest[lead.end() :] if lead else rest


def _other(text: bytes, tokens: Sequence[_Token]) -> Statement:
    """A statement that is all there is: its kind, and its format taken out of it."""
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
    """The tokens without the semicolon at the end."""
    for place, token in enumerate(tokens):
        if token.signs(b";"):
            if any(not later.signs(b";") for later in tokens[place:]):
                rest = _decoded(text[token.start :])[:100]
                raise refusal(
                    62,
                    "SYNTAX_ERROR",
                    f"Syntax error (Multi-statements are not allowed): failed at position "
                    f"{token.start + 1} (end of query): {rest}",
                )
            return tokens[:place]
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
    """FORMAT and the name behind it, where nothing but SETTINGS follows."""
    for place in range(len(tokens) - 2, 0, -1):
        word, name = tokens[place], tokens[place + 1]
        if word.says(b"FORMAT") and name.kind == "word" and not tokens[place - 1].signs(b"."):
            ends = place + 2 == len(tokens) or tokens[place + 2].says(b"SETTINGS")
            return (word, name) if ends else None
    return None


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise refusal(36, "BAD_ARGUMENTS", f"The statement is not UTF-8: {error}") from error
