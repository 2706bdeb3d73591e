"""Who calls: the claims of a bearer token, checked on every call before anything else."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import jwt
from pyarrow import flight
from pydantic import SecretStr

from flight_service.errors import Unauthenticated, answered

ALGORITHM = "HS256"
HOLDS_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON, U+0000 is always escaped."""
ROLES = ("roles", "role", "fraiseql_roles")
"""The claims that hold roles."""


@dataclass(frozen=True, slots=True)
class Principal:
    """What a call's token says of who calls. Nothing, where the service is open."""

    subject: str | None = None
    tenant: str | None = None
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Every claim, as it stands in the token."""
    authorization: str | None = field(default=None, repr=False, compare=False)
    """The header itself, for servers behind this one; whatever it holds, where none is checked."""
    traceparent: str | None = field(default=None, repr=False, compare=False)
    """The trace that the call belongs to, as its W3C header says."""


ANYONE = Principal()


def authenticate(authorization: str | None, secret: SecretStr | None) -> Principal:
    """The principal that an `authorization` header names. Without a secret, whoever comes.

    Raises:
        Unauthenticated: the header is missing or holds no valid token.
    """
    if secret is None:
        return replace(ANYONE, authorization=authorization) if authorization else ANYONE
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header `authorization: Bearer <JWT>` with every call.")
    principal = _principal(_claims(token.strip(), secret.get_secret_value()))
    return replace(principal, authorization=authorization)


def _claims(token: str, secret: str) -> dict[str, Any]:
    try:
        # Whom a token is for, and what kind of text names its subject, is the issuer's to say.
        options: Any = {"verify_aud": False, "verify_sub": False}
        claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options=options)
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
    except jwt.InvalidAlgorithmError as error:
        raise Unauthenticated(f"The token must be signed with {ALGORITHM}.") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"The token is not a valid JWT: {error}.") from error


def _check_texts(claims: dict[str, Any]) -> None:
    """Refuses claims with a text that neither JSON in UTF-8 nor a database can hold."""
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
    """Names as issuers write them: a list, or one text with spaces between."""
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()


class AuthenticationMiddleware(flight.ServerMiddleware):
    """Carries a call's principal to the method that answers it."""

    def __init__(self, principal: Principal) -> None:
        super().__init__()
        self.principal = principal


class Authentication(flight.ServerMiddlewareFactory):
    """Lets no call through, whatever it asks for, before its principal is known."""

    KEY = "principals"

    def __init__(self, secret: SecretStr | None) -> None:
        super().__init__()
        self._secret = secret

    def start_call(
        self, info: flight.CallInfo, headers: dict[str, list[str]]
    ) -> AuthenticationMiddleware:
        given = headers.get("authorization", [None])[0]
        with answered():
            principal = authenticate(given, self._secret)
        if trace := headers.get("traceparent"):
            principal = replace(principal, traceparent=trace[0])
        return AuthenticationMiddleware(principal)


def principal_of(context: flight.ServerCallContext) -> Principal:
    """The principal of the call that the context is of."""
    return cast(AuthenticationMiddleware, context.get_middleware(Authentication.KEY)).principal
