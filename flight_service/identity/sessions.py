"""Session tokens: what Handshake gives for a JWT or a password, valid for a short time.

A session token keeps every claim of its principal. It is signed with a key of the service's own, so
that processes with the same secret accept each other's.
"""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from flight_service.errors import Unauthenticated
from flight_service.identity.tokens import expiry_in

TYPE = "fraiseql-session+jwt"
"""The type in the header of session tokens, which no issuer's tokens have."""
_ALGORITHM = "HS256"


def session_token(claims: Mapping[str, Any], key: bytes, seconds: float) -> str:
    """A token for so many seconds, or until the token that the claims are of expires."""
    now = time.time()
    expires = now + seconds
    if (until := expiry_in(claims)) is not None:
        expires = min(expires, until)
    body = {"claims": dict(claims), "iat": int(now), "exp": int(expires)}
    return jwt.encode(body, key, _ALGORITHM, headers={"typ": TYPE})


def claims_of_session(token: str, key: bytes) -> dict[str, Any]:
    """The claims that a session token keeps.

    Raises:
        Unauthenticated: it has expired, or is not of this service.
    """
    try:
        body = jwt.decode(token, key, algorithms=[_ALGORITHM], options={"require": ["exp"]})
        return body["claims"]
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The session has expired. Log in again.") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(
            "The session is not of this service, or the service has been restarted. Log in again."
        ) from error
