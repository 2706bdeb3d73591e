"""Tickets of endpoints: signed for the principal that GetFlightInfo gives them to.

A client may also write a ticket itself; it then gets what it may have. Where no tokens are checked
there is nobody to sign for, and endpoints have tickets that anyone can read and write.
"""

from flight_service.authentication import Principal
from flight_service.errors import Forbidden
from flight_service.identity.signing import Signer, signing_key
from flight_service.sql.commands import SqlCommand, is_statement
from flight_service.tickets import Ticket
from fraiseql_assets.settings import Settings

MARK = b"\x00sealed\x00"
"""What sealed tickets begin with, and neither JSON, nor a name, nor a Flight SQL message."""


class SealedTickets:
    """Seals the tickets of endpoints and opens them."""

    def __init__(self, settings: Settings) -> None:
        self._is_guarded = settings.is_guarded
        self._signer = Signer(signing_key(settings, "tickets"))

    def seal(self, ticket: Ticket, principal: Principal) -> bytes:
        """The ticket as an endpoint has it."""
        body = ticket.encode()
        if not self._is_guarded or (isinstance(ticket, SqlCommand) and is_statement(body)):
            # A statement's ticket is signed by Flight SQL, whose actions read it.
            return body
        return MARK + self._signer.seal(body, principal)

    def open(self, data: bytes, principal: Principal) -> bytes:
        """The ticket in what a client sends; a ticket that is not sealed is left as it is.

        Raises:
            Forbidden: it was sealed for another principal, or was altered.
        """
        if not data.startswith(MARK):
            return data
        body = self._signer.open(data.removeprefix(MARK), principal)
        if body is None:
            raise Forbidden(
                "The ticket is another principal's, or was altered, or the service has been "
                "restarted. Ask for a new one with GetFlightInfo."
            )
        return body
