"""Who calls: the claims of a bearer token, checked on every call before anything else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import jwt
from pyarrow import flight
from pydantic import SecretStr

from flight_service.errors import Unauthenticated, answered

ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call's token says of who calls. Nothing, where the service is open."""

    subject: str | None = None
    tenant: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Every claim, as it stands in the token."""
    authorization: str | None = field(default=None, repr=False, compare=False)
    """The header itself, for servers behind this one; whatever it holds, where none is checked."""


ANYONE = Caller()


def identify(authorization: str | None, secret: SecretStr | None) -> Caller:
    """The caller that an `authorization` header names. Without a secret, whoever comes.

    Raises:
        Unauthenticated: the header is missing or holds no valid token.
    """
    if secret is None:
        return replace(ANYONE, authorization=authorization) if authorization else ANYONE
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header `authorization: Bearer <JWT>` with every call.")
    caller = _caller(_claims(token.strip(), secret.get_secret_value()))
    return replace(caller, authorization=authorization)


def _claims(token: str, secret: str) -> dict[str, Any]:
    try:
        # Whom a token is for, and what kind of text names its subject, is the issuer's to say.
        options: Any = {"verify_aud": False, "verify_sub": False}
        return jwt.decode(token, secret, algorithms=[ALGORITHM], options=options)
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The token has expired. Get a new one.") from error
    except jwt.ImmatureSignatureError as error:
        raise Unauthenticated("The token is not valid yet. Compare the clocks.") from error
    except jwt.InvalidSignatureError as error:
        raise Unauthenticated(
            "The token is signed with another secret than the service's FRAISEQL_JWT_SECRET."
        ) from error
    except jwt.InvalidAlgorithmError as error:
        raise Unauthenticated(f"The token must be signed with {ALGORITHM}.") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"The token is not a valid JWT: {error}.") from error


def _caller(claims: dict[str, Any]) -> Caller:
    return Caller(
        subject=_text(claims.get("sub")),
        tenant=_text(claims.get("tenant_id", claims.get("org_id"))),
        roles=_names(claims.get("roles", claims.get("role"))),
        scopes=_names(claims.get("scopes", claims.get("scope"))),
        claims=claims,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _names(value: object) -> frozenset[str]:
    """Names as issuers write them: a list, or one text with spaces between."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()


class CallersMiddleware(flight.ServerMiddleware):
    """Carries a call's caller to the method that answers it."""

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self.caller = caller


class Callers(flight.ServerMiddlewareFactory):
    """Lets no call through, whatever it asks for, before its caller is known."""

    KEY = "callers"

    def __init__(self, secret: SecretStr | None) -> None:
        super().__init__()
        self._secret = secret

    def start_call(self, info: flight.CallInfo, headers: dict[str, list[str]]) -> CallersMiddleware:
        given = headers.get("authorization", [None])[0]
        with answered():
            return CallersMiddleware(identify(given, self._secret))


def caller_of(context: flight.ServerCallContext) -> Caller:
    """The caller of the call that the context is of."""
    return cast(CallersMiddleware, context.get_middleware(Callers.KEY)).caller
