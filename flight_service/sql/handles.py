"""Handles of statements: signed, for one principal, and what is known under them."""

import hmac
import secrets

import msgspec

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest

SIGNATURE_BYTES = 32


class Handle(msgspec.Struct, frozen=True, array_like=True):
    """What a statement's handle says: which execution, of which text or prepared statement."""

    id: str
    text: str = ""
    prepared: str = ""
    catalogue: str | None = None
    schema: str | None = None


class Signer:
    """Signs handles with a key that lasts as long as this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def seal(self, handle: Handle, principal: Principal) -> bytes:
        """The handle as it travels, for that principal alone."""
        body = msgspec.msgpack.encode(handle)
        return self._signature(body, principal) + body

    def open(self, sealed: bytes, principal: Principal) -> Handle:
        """The handle that was sealed for the principal.

        Raises:
            InvalidRequest: it was not, or it was altered.
        """
        signature, body = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(body, principal)):
            raise InvalidRequest(
                "The handle is not of this service, or not of this principal. Ask for a new one "
                "with GetFlightInfo."
            )
        return msgspec.msgpack.decode(body, type=Handle)

    def _signature(self, body: bytes, principal: Principal) -> bytes:
        return hmac.digest(self._key, fingerprint(principal) + body, "sha256")


def fingerprint(principal: Principal) -> bytes:
    """What two tokens of one principal have in common."""
    who = [
        principal.subject,
        principal.tenant,
        sorted(principal.roles),
        sorted(principal.scopes),
    ]
    encoded = msgspec.json.encode(who)
    return len(encoded).to_bytes(4, "big") + encoded
