"""Session tokens: Handshake returns them for a JWT or a password. They are valid for a short time.

A session token keeps every claim of its principal. It is signed with the service's own key.
Processes with the same secret accept each other's tokens.
"""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from flight_service.errors import Unauthenticated
from flight_service.identity.tokens import expiry_in

TYPE = "fraiseql-session+jwt"
"""The type in the header of session tokens. Tokens of issuers have other types."""
_ALGORITHM = "HS256"


def session_token(claims: Mapping[str, Any], key: bytes, seconds: float) -> str:
    """A token that is valid for `seconds`, or until the original token expires."""
    now = time.time()
    expires = now + seconds
    if (until := expiry_in(claims)) is not None:
        expires = min(expires, until)
    body = {"claims": dict(claims), "iat": int(now), "exp": int(expires)}
    return jwt.encode(body, key, _ALGORITHM, headers={"typ": TYPE})


def claims_of_session(token: str, key: bytes) -> dict[str, Any]:
    """The claims that a session token keeps.

    Raises:
        Unauthenticated: it has expired, or another service has signed it.
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
