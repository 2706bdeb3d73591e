"""Authentication: every call's bearer token is checked before anything else."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import jwt
from pyarrow import flight

from flight_service.errors import Unauthenticated, answered
from fraiseql_assets.settings import Settings

ALGORITHM = "HS256"
HOLDS_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON, U+0000 is always escaped."""
ROLES = ("roles", "role", "fraiseql_roles")
"""The claims that hold roles."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The client of a call, as its token describes it. Empty if no tokens are checked."""

    subject: str | None = None
    tenant: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Every claim of the token, unchanged."""
    authorization: str | None = field(default=None, repr=False, compare=False)
    """The header itself, to forward to a FraiseQL server. Not checked if there is no secret."""


ANYONE = Principal()


def authenticate(authorization: str | None, settings: Settings) -> Principal:
    """The principal of an `authorization` header. `ANYONE` if there is no secret.

    Raises:
        Unauthenticated: the header is missing or holds no valid token.
    """
    if settings.jwt_secret is None:
        return replace(ANYONE, authorization=authorization) if authorization else ANYONE
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header `authorization: Bearer <JWT>` with every call.")
    principal = _principal(_claims(token.strip(), settings.jwt_secret.get_secret_value(), settings))
    return replace(principal, authorization=authorization)


def _claims(token: str, secret: str, settings: Settings) -> dict[str, Any]:
    # What kind of text names a token's subject is the issuer's to say.
    options: Any = {
        "verify_sub": False,
        "verify_aud": settings.jwt_audience is not None,
        "require": ["exp"] if settings.jwt_require_exp else [],
    }
    try:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            options=options,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )
        _check_texts(claims)
        return claims
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The token has expired. Get a new one.") from error
    except jwt.ImmatureSignatureError as error:
        raise Unauthenticated("The token is not valid yet. Compare the clocks.") from error
    except jwt.InvalidSignatureError as error:
        raise Unauthenticated(
            "The token is signed with another secret than the service's FRAISEQL_JWT_SECRET."
        ) from error
    except jwt.MissingRequiredClaimError as error:
        raise Unauthenticated(f"The token lacks the claim {error.claim}.") from error
    except jwt.InvalidIssuerError as error:
        raise Unauthenticated("The token is of another issuer than this service's.") from error
    except jwt.InvalidAudienceError as error:
        raise Unauthenticated("The token is for another audience than this service.") from error
    except jwt.InvalidAlgorithmError as error:
        raise Unauthenticated(f"The token must be signed with {ALGORITHM}.") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"The token is not a valid JWT: {error}.") from error


def _check_texts(claims: dict[str, Any]) -> None:
    """Refuses claims with text that UTF-8 or PostgreSQL cannot represent."""
    try:
        text = json.dumps(claims, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise Unauthenticated("The token holds half of a surrogate pair.") from error
    if HOLDS_NUL.search(text):
        raise Unauthenticated("The token holds the character U+0000.")


def _principal(claims: dict[str, Any]) -> Principal:
    return Principal(
        subject=_text(claims.get("sub")),
        tenant=_text(claims.get("tenant_id", claims.get("org_id"))),
        roles=frozenset().union(*(_names(claims.get(name)) for name in ROLES)),
        scopes=_names(claims.get("scopes", claims.get("scope"))),
        claims=claims,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _names(value: object) -> frozenset[str]:
    """Names in either notation: a list, or one string separated by spaces."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()


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
            return AuthenticationMiddleware(authenticate(given, self._settings))


def principal_of(context: flight.ServerCallContext) -> Principal:
    """The principal of the context's call."""
    return cast(AuthenticationMiddleware, context.get_middleware(Authentication.KEY)).principal
