"""Handles of statements, signed for one principal."""

from datetime import date

import msgspec

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.identity.signing import Signer


class Handle(msgspec.Struct, frozen=True, array_like=True):
    """The content of a handle: an execution of a text or of a prepared statement."""

    id: str
    text: str = ""
    prepared: str = ""
    catalogue: str | None = None
    schema: str | None = None
    days: tuple[date, date] | None = None
    """The first and the last day of a part; None for all rows."""


class Handles:
    """Seals handles and opens them."""

    def __init__(self, key: bytes | None = None) -> None:
        """Without a key, handles are valid as long as this object exists."""
        self._signer = Signer(key)

    def sign(self, handle: Handle, principal: Principal) -> bytes:
        """The bytes of a handle, signed for the principal."""
        return self._signer.sign(msgspec.msgpack.encode(handle), principal)

    def verify(self, signed: bytes, principal: Principal) -> Handle:
        """The handle that was signed for the principal.

        Raises:
            InvalidRequest: it was not signed for the principal, or was altered.
        """
        body = self._signer.verify(signed, principal)
        if body is None:
            raise InvalidRequest(
                "The handle is not of this service, or not of this principal. Ask for a new one "
                "with GetFlightInfo."
            )
        return msgspec.msgpack.decode(body, type=Handle)
