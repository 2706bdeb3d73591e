"""Authentication: every call's bearer token is checked before anything else."""

from dataclasses import replace
from typing import cast

from pyarrow import flight

from flight_service.errors import Unauthenticated, answered
from flight_service.identity.principal import ANYONE as ANYONE
from flight_service.identity.principal import Principal as Principal
from flight_service.identity.principal import principal_from
from flight_service.identity.tokens import claims_of
from fraiseql_assets.settings import Settings


def authenticate(authorization: str | None, settings: Settings) -> Principal:
    """The principal of an `authorization` header. `ANYONE` if no tokens are checked.

    Raises:
        Unauthenticated: the header is missing or holds no valid token.
    """
    if not settings.is_guarded:
        return replace(ANYONE, authorization=authorization) if authorization else ANYONE
    assert settings.jwt_secret is not None
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header `authorization: Bearer <JWT>` with every call.")
    claims = claims_of(token.strip(), settings.jwt_secret.get_secret_value(), settings)
    return replace(principal_from(claims), authorization=authorization)


class AuthenticationMiddleware(flight.ServerMiddleware):
    """Passes the principal of a call to the method that handles it."""

    def __init__(self, principal: Principal) -> None:
        super().__init__()
        self.principal = principal


class Authentication(flight.ServerMiddlewareFactory):
    """Authenticates every call before its method runs."""

    KEY = "principals"

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def start_call(
        self, info: flight.CallInfo, headers: dict[str, list[str]]
    ) -> AuthenticationMiddleware:
        given = headers.get("authorization", [None])[0]
        with answered():
            principal = authenticate(given, self._settings)
        if trace := headers.get("traceparent"):
            principal = replace(principal, traceparent=trace[0])
        return AuthenticationMiddleware(principal)


def principal_of(context: flight.ServerCallContext) -> Principal:
    """The principal of the context's call."""
    return cast(AuthenticationMiddleware, context.get_middleware(Authentication.KEY)).principal
