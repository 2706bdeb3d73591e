"""What a statement may reach: the engine's own tables, and nothing else on this machine or beyond.

The engine runs with the rights of the developer who started it. Its own access control keeps it to
its tables: grants leave out every source outside of it (`file`, `url`, `s3`, `remote`, …), backups,
dictionaries and commands that end the server. A few functions, some table engines, and disks that a
statement describes, need no grant; statements with them are refused here.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path

from local_stack.clickhouse.errors import QueryError, refusal

SETTING = "FRAISEQL_CLICKHOUSE_EXTERNAL_SOURCES"

FUNCTIONS = frozenset(
    {
        *("file", "python", "eval", "sqlite", "executable", "disk"),
        *("aiclassify", "aiembed", "aiextract", "aifilter", "aigenerate", "airedact"),
        *("aisimilarity", "aitranslate"),
    }
)
"""Functions that reach beyond the engine and need no grant, or act before it is looked up.

`disk` describes a disk in the settings of a table, on any path or server.
"""

OVERLAY = uuid.UUID("f11e0000-0000-4000-8000-000000000000")
"""The database that shows the machine's files as tables. The grants close it."""

_SUSPECT = re.compile(
    rf"\b(?:{'|'.join(sorted(FUNCTIONS))}|outfile|infile|engine)\b".encode()
    + rb"""|[`"][^`"]*\\""",
    re.IGNORECASE,
)
"""A statement that matches is looked at closely. Escapes in a name can spell any word."""

CHECKED_BYTES = 128 * 1024
"""VALUES up to this size are looked at as a whole."""
OVERLAP_BYTES = 1024

_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | (?P<name>[A-Za-z_]\w*|`(?:[^`\\]|\\.|``)*`) | \d[\w.]* | .""",
    re.VERBOSE | re.DOTALL,
)
_FILES = re.compile(r"\b(?:INTO OUTFILE|FROM INFILE)\b")
_ENGINE = re.compile(r"\bENGINE = `?([A-Za-z_]\w*)")
_GRANTED = re.compile(r"GRANT TABLE ENGINE ON (\w+)")
_CONFIGURATION = files("local_stack.clickhouse") / "configuration"


@cache
def granted_engines() -> frozenset[str]:
    """The engines that the grants name. The engine does not ask for a grant for all others."""
    return frozenset(_GRANTED.findall((_CONFIGURATION / "users.xml").read_text()))


def write_configuration(folder: Path, *, open_to_all: bool) -> Path:
    """Writes the engine's configuration into the folder. Returns its file.

    `open_to_all` lets statements read and write files and other servers.
    """
    users = "open_users.xml" if open_to_all else "users.xml"
    (folder / "users.xml").write_text((_CONFIGURATION / users).read_text())
    text = (_CONFIGURATION / "config.xml").read_text()
    path = folder / "config.xml"
    path.write_text(text.replace("{users}", str(folder / "users.xml")))
    return path


def separate_databases(store: Path) -> None:
    """Makes the engine keep the database `default` apart from the one that shows files as tables.

    Without this the engine, as it would for a command line, makes them one database, and then every
    statement needs the grant to read files. Tables stay where they are, also those of a folder of
    an older release.
    """
    metadata = store / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    link, definition = metadata / "default", metadata / "default.sql"
    if not definition.exists():
        known = uuid.UUID(os.readlink(link).rpartition("/")[2]) if link.is_symlink() else None
        definition.write_text(
            f"ATTACH DATABASE _ UUID '{known or uuid.uuid4()}'\nENGINE = Atomic\n"
        )
    # The engine takes the files' database from this link. It points it back when it has started.
    link.unlink(missing_ok=True)
    link.symlink_to(f"../store/{OVERLAY.hex[:3]}/{OVERLAY}")


def check_functions(text: str, canonical: Callable[[str], str]) -> None:
    """Refuses a statement that calls one of `FUNCTIONS`, reads or writes a file of the machine, or
    uses an engine without a grant.

    `canonical` returns a statement as the engine's own parser writes it, without comments and
    escapes, so that no other reading of the text is needed.

    Raises:
        QueryError: it does, or `canonical` raises.
    """
    if not _SUSPECT.search(text.encode()):
        return
    tokens = [(m[0], m.lastgroup == "name") for m in _TOKEN.finditer(canonical(text))]
    bare = "".join(text if not text.startswith("'") else "''" for text, _ in tokens)
    if _FILES.search(bare):
        raise _refused("INTO OUTFILE and FROM INFILE")
    for engine in _ENGINE.finditer(bare):
        if engine[1] not in granted_engines():
            raise _refused(f"The table engine {engine[1]}")
    for position, (text, is_name) in enumerate(tokens):
        name = text.strip("`").lower()
        if is_name and name in FUNCTIONS and _is_function(tokens, position):
            raise _refused(f"The function {name}")


def checked_values(pieces: Iterable[bytes], canonical: Callable[[str], str]) -> Iterator[bytes]:
    """The rows of an INSERT in the format Values, whose values can be expressions.

    Reads the beginning at once. The iterator raises too.

    Raises:
        QueryError: an expression calls one of `FUNCTIONS`, or the rows are too many to look at one
            that might.
    """
    pieces = iter(pieces)
    head = b""
    while len(head) <= CHECKED_BYTES:
        piece = next(pieces, None)
        if piece is None:
            if _SUSPECT.search(head):
                check_functions(f"SELECT {head.decode(errors='replace').rstrip(' ;,')}", canonical)
            return iter((head,))
        head += piece
    return _unsuspicious(chain([head], pieces))


def _unsuspicious(pieces: Iterable[bytes]) -> Iterator[bytes]:
    end = b""
    for piece in pieces:
        if _SUSPECT.search(end + piece):
            raise _refused(f"VALUES of more than {CHECKED_BYTES} bytes with such a name")
        end = piece[-OVERLAP_BYTES:]
        yield piece


def _is_function(tokens: list[tuple[str, bool]], position: int) -> bool:
    """Whether a name is called, or handed to a function as one.

    A column of the name can be used in other places, and everywhere as `table.name`.
    """
    before = [text for text, _ in tokens[:position]]
    after = tokens[position + 1][0] if position + 1 < len(tokens) else ""
    if before[-1:] == ["."]:
        return False
    if after == "(" or _word_before(before) == "APPLY":
        return True
    opened = 0
    while opened < len(before) and before[-1 - opened] == "(":
        opened += 1
    is_argument = 0 < opened < len(before) and bool(re.match(r"[\w`]", before[-1 - opened]))
    return is_argument and not (opened == 1 and after == ")")


def _word_before(before: list[str]) -> str:
    return next((text.upper() for text in reversed(before) if not text.isspace()), "")


def _refused(what: str) -> QueryError:
    return refusal(
        497,
        "ACCESS_DENIED",
        f"{what} can leave the local ClickHouse. Set {SETTING}=true to allow it. "
        "Write a column of such a name as table.column, and rows in another format than Values",
    )
