"""JSON Web Tokens: whether one is valid, and its claims."""

import json
import re
from typing import Any

import jwt

from flight_service.errors import Unauthenticated
from fraiseql_assets.settings import Settings

ALGORITHM = "HS256"
HOLDS_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON, U+0000 is always escaped."""


def claims_of(token: str, secret: str, settings: Settings) -> dict[str, Any]:
    """The claims of a valid token.

    Raises:
        Unauthenticated: the token is not valid; the message says why.
    """
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
