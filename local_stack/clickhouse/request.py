"""Reads a request from its URL, headers and body, as ClickHouse does."""

import base64
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, cast
from urllib.parse import parse_qsl

from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from local_stack.clickhouse.body import Body
from local_stack.clickhouse.compression import SUPPORTED, accepted, decompressed
from local_stack.clickhouse.engine import PIECE, External
from local_stack.clickhouse.errors import refusal
from local_stack.clickhouse.formats import DEFAULT_FORMAT
from local_stack.clickhouse.sessions import DEFAULT_SECONDS, MOST_SECONDS, Keep

_NOT_SETTINGS = frozenset(
    {
        "buffer_size", "client_protocol_version", "compress", "database", "decompress",
        "default_format", "password", "query", "query_id", "quota_key", "role", "session_check",
        "session_id", "session_timeout", "stacktrace", "user", "wait_end_of_query",
    }
)  # fmt: skip
"""Parameters of the HTTP interface. All others are settings or `param_…`."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password."""

    user: str = "default"
    password: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that executes a statement."""

    query: bytes
    """The statement or its beginning, if it is in the URL."""
    body: Iterator[bytes]
    """The body without its compression."""
    tables: tuple[External, ...]
    database: str | None
    settings: Mapping[str, str]
    """Settings, and parameters as `param_…`."""
    query_id: str
    default_format: str
    keep: Keep | None
    reads_only: bool
    waits_for_end: bool
    encoding: str | None
    """The Content-Encoding of the result; None if it is not compressed."""


def read_request(method: str, query_string: str, headers: Message, body: Body) -> Request:
    """Reads a request. It reads the body only if that is a form.

    Raises:
        QueryError: a part of the request is invalid.
    """
    values = _values(query_string)
    uploads: dict[str, IO[bytes]] = {}
    if headers.get_content_type() == "multipart/form-data":
        uploads = _read_form(headers, body, values)
    if "1" in (values.get("compress"), values.get("decompress")):
        raise refusal(
            48,
            "NOT_IMPLEMENTED",
            "compress=1 and decompress=1 are not supported: use Content-Encoding, "
            "Accept-Encoding and enable_http_compression=1",
        )
    of_tables = {f"{name}_{what}" for name in uploads for what in ("format", "structure", "types")}
    wants_compression = values.get("enable_http_compression") in ("1", "true")
    return Request(
        query=values.get("query", "").encode(),
        body=_pieces(headers, body),
        tables=tuple(_external(name, data, values) for name, data in uploads.items()),
        database=values.get("database") or headers.get("X-ClickHouse-Database"),
        settings={
            name: value for name, value in values.items() if name not in _NOT_SETTINGS | of_tables
        },
        query_id=query_id_of(query_string),
        default_format=_format(
            values.get("default_format") or headers.get("X-ClickHouse-Format") or DEFAULT_FORMAT
        ),
        keep=_keep(values),
        reads_only=method == "GET",
        waits_for_end=values.get("wait_end_of_query") in ("1", "true"),
        encoding=accepted(headers.get("Accept-Encoding", "")) if wants_compression else None,
    )


def query_id_of(query_string: str) -> str:
    """The query's id from the client, or a new one."""
    return _values(query_string).get("query_id") or str(uuid.uuid4())


def presented(query_string: str, headers: Message) -> Credentials:
    """The user and the password, from the places where ClickHouse looks for them."""
    if user := headers.get("X-ClickHouse-User"):
        return Credentials(user, headers.get("X-ClickHouse-Key", ""))
    scheme, _, packed = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(packed).decode().partition(":")
        except ValueError:
            return Credentials("", "")
        return Credentials(user, password)
    values = _values(query_string)
    return Credentials(values.get("user", "default"), values.get("password", ""))


def _values(query_string: str) -> dict[str, str]:
    return dict(parse_qsl(query_string, keep_blank_values=True))


def _read_form(headers: Message, body: Body, values: dict[str, str]) -> dict[str, IO[bytes]]:
    """Adds the form's fields to the values. Returns its files, of which large ones are on disk."""
    media_type, options = parse_options_header(headers.get("Content-Type"))
    try:
        _, fields, files = FormDataParser(max_form_memory_size=None, silent=False).parse(
            cast("IO[bytes]", body), media_type, None, options
        )
    except ValueError as error:
        raise refusal(36, "BAD_ARGUMENTS", f"The multipart form cannot be read: {error}") from error
    values |= fields.items()
    return {name: cast("IO[bytes]", upload.stream) for name, upload in files.items()}


def _external(name: str, data: IO[bytes], values: Mapping[str, str]) -> External:
    structure = values.get(f"{name}_structure")
    if not structure and (types := values.get(f"{name}_types")):
        structure = ", ".join(f"_{n} {kind}" for n, kind in enumerate(types.split(","), 1))
    if not structure:
        raise refusal(
            36, "BAD_ARGUMENTS", f"The external table {name} has neither {name}_structure nor types"
        )
    return External(name, structure, _format(values.get(f"{name}_format", DEFAULT_FORMAT)), data)


def _pieces(headers: Message, body: Body) -> Iterator[bytes]:
    """The body, a megabyte at a time, without its Content-Encoding."""
    pieces = iter(lambda: body.read(PIECE), b"")
    encoding = headers.get("Content-Encoding", "").lower()
    if encoding in ("", "identity"):
        return pieces
    if encoding not in SUPPORTED:
        raise refusal(
            48,
            "NOT_IMPLEMENTED",
            f"Unknown compression method {encoding}; known are {', '.join(SUPPORTED)}",
        )
    return _decompressed(pieces, encoding)


def _decompressed(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    try:
        yield from decompressed(pieces, encoding)
    except ValueError as error:
        raise refusal(33, "CANNOT_READ_ALL_DATA", str(error)) from error


def _keep(values: Mapping[str, str]) -> Keep | None:
    name = values.get("session_id")
    if not name:
        return None
    try:
        seconds = float(values.get("session_timeout", DEFAULT_SECONDS))
    except ValueError as error:
        raise refusal(
            374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: {error}"
        ) from error
    return Keep(name, min(seconds, MOST_SECONDS), values.get("session_check") == "1")


def _format(name: str) -> str:
    if not re.fullmatch(r"\w+", name):
        raise refusal(73, "UNKNOWN_FORMAT", f"Unknown format {name}")
    return name
