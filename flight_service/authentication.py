"""Authentication: identifies the client of a call before anything else."""

from dataclasses import replace
from typing import cast

from pyarrow import flight

from flight_service.errors import answered
from flight_service.identity.principal import ANYONE as ANYONE
from flight_service.identity.principal import Principal as Principal
from flight_service.identity.verifier import verifier_of
from fraiseql_assets.settings import Settings

AUTHORIZATION = "authorization"
ARROW_TOKEN = "auth-token-bin"
"""The header in which clients of Arrow's own authentication send the token of Handshake."""


def authenticate(
    authorization: str | None, settings: Settings, *, may_wait: bool = True
) -> Principal:
    """The principal of an `authorization` header. `ANYONE` if no tokens are checked.

    It may wait for an issuer's keys, or while a password is checked, unless `may_wait` is false.

    Raises:
        Unauthenticated: the header is missing or invalid.
        ServiceError: it cannot be checked at the moment.
        MustWait: checking takes time, and `may_wait` is false.
    """
    return verifier_of(settings).principal(authorization, may_wait=may_wait)


class AuthenticationMiddleware(flight.ServerMiddleware):
    """Passes the principal of a call to the method that handles it."""

    def __init__(self, principal: Principal, token: str | None = None) -> None:
        super().__init__()
        self.principal = principal
        self._token = token

    def sending_headers(self) -> dict[str, str]:
        return {} if self._token is None else {AUTHORIZATION: f"Bearer {self._token}"}


class Authentication(flight.ServerMiddlewareFactory):
    """Authenticates every call before its method runs.

    A client that sends a user name and a password, or that calls Handshake with a header, gets a
    session token in the header `authorization` of the response.
    """

    KEY = "principals"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def start_call(
        self, info: flight.CallInfo, headers: dict[str, list[str]]
    ) -> AuthenticationMiddleware:
        given = authorization_of(headers)
        is_handshake = info.method == flight.FlightMethod.HANDSHAKE
        if is_handshake and given is None:
            # The payload has the credentials; see `flight_service.identity.handshake`.
            return AuthenticationMiddleware(ANYONE)
        with answered():
            principal = authenticate(given, self._settings)
            is_basic = (given or "").strip().lower().startswith("basic ")
            token = (
                verifier_of(self._settings).session(principal) if is_handshake or is_basic else None
            )
        if trace := headers.get("traceparent"):
            principal = replace(principal, traceparent=trace[0])
        return AuthenticationMiddleware(principal, token)


def authorization_of(headers: dict[str, list[str]]) -> str | None:
    """The credentials in the headers of a Flight call."""
    if given := headers.get(AUTHORIZATION):
        return given[0]
    for token in headers.get(ARROW_TOKEN, []):
        text = token.decode(errors="replace") if isinstance(token, bytes) else token
        return f"Bearer {text}"
    return None


def principal_of(context: flight.ServerCallContext) -> Principal:
    """The principal of the context's call."""
    return cast(AuthenticationMiddleware, context.get_middleware(Authentication.KEY)).principal
