"""Putting a streamed result together.

The engine hands out a long result in pieces, each a whole document of the format. Of some formats
the pieces simply follow one another; of others the head of all but the first has to go. What is one
document by nature (JSON, Parquet, Pretty…) this engine cannot stream: it is asked for whole.
"""

from collections.abc import Callable, Iterable, Iterator

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

ROWS = frozenset(
    {
        "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "jsoneachrow", "jsonlines",
        "ndjson", "jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow",
        "rowbinary", "native", "values", "tskv", "vertical", "lineasstring", "rawblob",
        "customseparated", "msgpack", "protobuf", "sqlinsert", "null",
    }
)  # fmt: skip
"""Formats whose pieces follow one another as they are."""

CONTENT_TYPES = {
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "jsonlines": "application/x-ndjson; charset=UTF-8",
    "ndjson": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "parquet": "application/octet-stream",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "xml": "application/xml; charset=UTF-8",
    "markdown": "text/markdown; charset=UTF-8",
}
TEXT = "text/plain; charset=UTF-8"


def content_type(name: str) -> str:
    """The Content-Type of a result."""
    return CONTENT_TYPES.get(name.lower(), TEXT if not _is_tsv(name) else
                             "text/tab-separated-values; charset=UTF-8")  # fmt: skip


def _is_tsv(name: str) -> bool:
    return name.lower().startswith(("tabseparated", "tsv"))


def joiner(name: str) -> Callable[[Iterable[bytes]], Iterator[bytes]] | None:
    """How pieces of a format become one result; None when the format is one document."""
    lower = name.lower()
    if lower in ROWS:
        return iter
    if lower == "arrowstream":
        return join_arrow_streams
    for suffix, lines in (("withnamesandtypes", 2), ("withnames", 1)):
        if lower.endswith(suffix) and not lower.startswith("rowbinary"):
            return lambda pieces: _without_repeated_head(pieces, lines)
    return None


def join_arrow_streams(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Several Arrow IPC streams of one schema as one: the schema once, the end once.

    Framing after the Arrow columnar format, "Encapsulated message format": a continuation marker,
    the length of the metadata, the metadata, the body; a schema message has no body.
    """
    first = True
    for piece in pieces:
        body = memoryview(piece)
        if body[-8:] == _END_OF_STREAM:
            body = body[:-8]
        if not first:
            body = body[8 + int.from_bytes(body[4:8], "little") :]
        first = False
        if body:
            yield bytes(body)
    if not first:
        yield _END_OF_STREAM


def _without_repeated_head(pieces: Iterable[bytes], lines: int) -> Iterator[bytes]:
    head = b""
    for number, piece in enumerate(pieces):
        if number == 0:
            head = b"".join(piece.splitlines(keepends=True)[:lines]) if piece else b""
            yield piece
        else:
            yield piece.removeprefix(head)
