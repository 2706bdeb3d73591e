"""Handshake: a JWT or a password is exchanged for a session token.

Clients send credentials in a header, as ADBC, JDBC and pyarrow's `authenticate_basic_token` do, or
as the payload. Middleware answers a header with a header; this module answers a payload with a
payload. pyarrow gives its handler neither the call nor its headers, but calls it in the same thread
as the middleware before.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyarrow import flight

from flight_service.errors import Unauthenticated, answered
from flight_service.identity.basic import header_of
from flight_service.identity.principal import Principal
from flight_service.identity.verifier import verifier_of
from fraiseql_assets.settings import Settings

LONGEST = 64 * 2**10
"""The maximum size of a payload."""


class Incoming(Protocol):
    """The messages of a client; pyarrow exports no type for them."""

    def read(self) -> bytes:
        """The next message.

        Raises:
            OSError: there is none.
        """
        ...


class Outgoing(Protocol):
    """The messages to a client."""

    def write(self, message: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A Handshake whose headers were read."""

    is_done: bool
    """Whether the headers had valid credentials."""
    recognised: Callable[[Principal], None]
    """Called with the principal of the payload."""
    refused: Callable[[Exception], None]
    """Called with the error if the payload is invalid."""


class Handshakes:
    """Handshakes in progress, by the thread that answers them. Thread-safe."""

    def __init__(self) -> None:
        self._begun: dict[int, Begun] = {}

    def begin(self, begun: Begun) -> None:
        """Stores the Handshake of this thread."""
        # A thread-local would be lost between two calls, because Python did not create the thread.
        self._begun[threading.get_native_id()] = begun

    def take(self) -> Begun | None:
        """Removes and returns the Handshake of this thread."""
        return self._begun.pop(threading.get_native_id(), None)


class HandshakeHandler(flight.ServerAuthHandler):
    """Answers Handshake. Other calls are authenticated by middleware."""

    def __init__(self, settings: Settings, handshakes: Handshakes) -> None:
        super().__init__()
        self._settings, self._handshakes = settings, handshakes

    def authenticate(self, outgoing: Outgoing, incoming: Incoming) -> None:
        begun = self._handshakes.take()
        if begun is not None and begun.is_done:
            return
        verifier = verifier_of(self._settings)
        with answered():
            try:
                principal = verifier.principal(header_of(_payload(incoming)), may_wait=True)
            except Exception as error:
                if begun is not None:
                    begun.refused(error)
                raise
            if begun is not None:
                begun.recognised(principal)
            outgoing.write(verifier.session(principal).encode())

    def is_valid(self, token: bytes) -> bytes:
        """Accepts every token: the middleware reads the token too, and refuses an invalid one."""
        return b""


def _payload(incoming: Incoming) -> bytes:
    try:
        payload = incoming.read()
    except OSError as error:
        raise Unauthenticated(
            "Handshake needs the header `authorization`, or `Bearer <JWT>`, a JWT, or a user name "
            "and a password as its payload."
        ) from error
    if len(payload) > LONGEST:
        raise Unauthenticated(f"The payload of Handshake has at most {LONGEST:,} bytes.")
    return payload
