"""Signed tickets of endpoints, valid only for the principal of the GetFlightInfo call.

A client may also write a ticket itself, and then gets the rows that it may read. If no tokens are
checked, principals are unknown and tickets are not signed.
"""

from flight_service.authentication import Principal
from flight_service.errors import Forbidden
from flight_service.identity.signing import Signer, signing_key
from flight_service.sql.commands import SqlCommand, is_statement
from flight_service.tickets import Ticket
from fraiseql_assets.settings import Settings

MARK = b"\x00sealed\x00"
"""The first bytes of signed tickets. No JSON, name or Flight SQL message starts with them."""


class SignedTickets:
    """Signs the tickets of endpoints and verifies them."""

    def __init__(self, settings: Settings) -> None:
        self._is_guarded = settings.is_guarded
        self._signer = Signer(signing_key(settings, "tickets"))

    def sign(self, ticket: Ticket, principal: Principal) -> bytes:
        """The ticket as an endpoint has it."""
        body = ticket.encode()
        if not self._is_guarded or (isinstance(ticket, SqlCommand) and is_statement(body)):
            # A statement's ticket is signed by Flight SQL, whose actions read it.
            return body
        return MARK + self._signer.sign(body, principal)

    def verify(self, data: bytes, principal: Principal) -> bytes:
        """The ticket in the bytes of a client. A ticket without a signature is returned as it is.

        Raises:
            Forbidden: it was signed for another principal, or was altered.
        """
        if not data.startswith(MARK):
            return data
        body = self._signer.verify(data.removeprefix(MARK), principal)
        if body is None:
            raise Forbidden(
                "The ticket is another principal's, or was altered, or the service has been "
                "restarted. Ask for a new one with GetFlightInfo."
            )
        return body
