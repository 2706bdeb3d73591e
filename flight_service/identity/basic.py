"""Parses credentials in the forms of HTTP and Flight."""

import base64
import binascii
import re
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import flight

from flight_service.errors import Unauthenticated

BEARER = "bearer"
BASIC = "basic"
LONGEST = 1024
"""The maximum size of user name and password together."""

_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_SCHEME = re.compile(rb"(?i)(bearer|basic) +\S")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password."""

    name: str
    password: str = field(repr=False)


def credentials_of(encoded: str) -> Credentials:
    """Parses the value after `Basic` in a header. The padding may be missing, because ADBC omits
    it.

    Raises:
        Unauthenticated: it is not base64 of `user:password`.
    """
    try:
        text = encoded.strip().rstrip("=")
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        name, colon, password = data.decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise _malformed() from error
    if not colon or len(data) > LONGEST:
        raise _malformed()
    return Credentials(name, password)


def header_of(payload: bytes) -> str:
    """The `authorization` header for a payload of Handshake: a header, a JWT, or Arrow's message
    `BasicAuth`.

    Raises:
        Unauthenticated: it has none of these forms.
    """
    text = payload.strip()
    if _SCHEME.match(text):
        return text.decode(errors="replace")
    if _TOKEN.fullmatch(text):
        return f"Bearer {text.decode()}"
    try:
        found = flight.BasicAuth.deserialize(payload)
        pair = b":".join((found.username, found.password))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unknown() from error
    if not found.username:
        raise _unknown()
    return f"Basic {base64.b64encode(pair).decode()}"


def _malformed() -> Unauthenticated:
    return Unauthenticated("The header `authorization: Basic` holds base64 of `user:password`.")


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "Handshake takes `Bearer <JWT>`, a JWT, or a user name and a password (BasicAuth)."
    )
