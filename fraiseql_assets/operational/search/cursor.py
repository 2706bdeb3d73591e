"""Cursors: the end of a page as a string that a client sends back."""

import base64
import binascii
import hashlib
from dataclasses import fields
from typing import Any

import msgspec

from fraiseql_assets.operational.search.request import SearchMistake, SearchRequest


def write_cursor(request: SearchRequest, point: str, after: list[Any]) -> str:
    """The cursor after the hit with these sort values, at a point in time."""
    content = msgspec.json.encode([_digest(request), point, after])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(request: SearchRequest) -> tuple[str, list[Any]]:
    """The point in time of a cursor, and the sort values of the last hit before it.

    Raises:
        SearchMistake: it is not a cursor, or it belongs to another search.
    """
    given = request.cursor or ""
    try:
        content = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
        digest, point, after = msgspec.json.decode(content, type=tuple[str, str, list[Any]])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise SearchMistake("This is not a cursor. Take it from the last hit of a page.") from error
    if digest != _digest(request):
        raise SearchMistake(
            "The cursor belongs to another search. Repeat the search with the same conditions."
        )
    return point, after


def _digest(request: SearchRequest) -> str:
    conditions = [
        getattr(request, field.name)
        for field in fields(request)
        if field.compare and field.name not in ("cursor", "limit", "partial")
    ]
    return hashlib.sha256(repr(conditions).encode()).hexdigest()[:16]
