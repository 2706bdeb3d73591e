"""JSON Web Tokens: verifies them and returns their claims."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from flight_service.errors import Unauthenticated
from flight_service.identity.jwks import ALGORITHMS, KeySet

SECRET_ALGORITHM = "HS256"
HOLDS_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""In JSON, U+0000 is always escaped."""


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The requirements on a token."""

    secret: str | None
    """The secret of HS256 tokens; None if they are not accepted."""
    keys: KeySet | None
    """The keys of RS256 and ES256 tokens; None if they are not accepted."""
    issuer: str | None
    audience: str | None
    require_exp: bool

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that tokens may be signed with."""
        shared = () if self.secret is None else (SECRET_ALGORITHM,)
        return shared if self.keys is None else (*shared, *ALGORITHMS)


def type_of(token: str) -> str | None:
    """The type in a token's header, before verification."""
    try:
        return str(jwt.get_unverified_header(token).get("typ"))
    except jwt.InvalidTokenError:
        return None


def expiry_of(token: str) -> int | None:
    """When a token that was verified expires, in seconds since 1970; None if it does not."""
    return expiry_in(jwt.decode(token, options={"verify_signature": False}))


def expiry_in(claims: Mapping[str, Any]) -> int | None:
    """The same from the claims of a token that was verified. A text of digits is a number, too."""
    return None if claims.get("exp") is None else int(claims["exp"])


def check_expiry(expires: int | None) -> None:
    """Returns if a token that was valid still is.

    Raises:
        Unauthenticated: it has expired.
    """
    if expires is not None and time.time() >= expires:
        raise Unauthenticated("The token has expired. Get a new one.")


def claims_of(token: str, rules: TokenRules, *, may_wait: bool) -> dict[str, Any]:
    """The claims of a valid token.

    Raises:
        Unauthenticated: the token is not valid; the message says why.
        KeysUnavailable: the keys that verify it cannot be read.
        MustWait: a request to the issuer is needed, and the call may not wait.
    """
    try:
        header = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in rules.algorithms:
            raise jwt.InvalidAlgorithmError
        # A key is used only with its own algorithm, whatever the token says.
        if algorithm == SECRET_ALGORITHM:
            assert rules.secret is not None
            return _decoded(token, rules.secret, algorithm, rules)
        assert rules.keys is not None
        found = rules.keys.find(kid, algorithm, may_wait=may_wait)
        if not found:
            raise Unauthenticated("The token is signed with a key that its issuer does not have.")
        for key in found[:-1]:
            try:
                return _decoded(token, key, algorithm, rules)
            except jwt.InvalidSignatureError:
                continue
        return _decoded(token, found[-1], algorithm, rules)
    except jwt.ExpiredSignatureError as error:
        raise Unauthenticated("The token has expired. Get a new one.") from error
    except jwt.ImmatureSignatureError as error:
        raise Unauthenticated("The token is not valid yet. Compare the clocks.") from error
    except jwt.InvalidSignatureError as error:
        raise Unauthenticated(
            "The token is signed with another secret or key than the service's "
            "FRAISEQL_JWT_SECRET or FRAISEQL_JWT_JWKS."
        ) from error
    except jwt.MissingRequiredClaimError as error:
        raise Unauthenticated(f"The token lacks the claim {error.claim}.") from error
    except jwt.InvalidIssuerError as error:
        raise Unauthenticated("The token is of another issuer than this service's.") from error
    except jwt.InvalidAudienceError as error:
        raise Unauthenticated("The token is for another audience than this service.") from error
    except jwt.InvalidAlgorithmError as error:
        names = " or ".join(rules.algorithms) or "no algorithm: users log in with passwords"
        raise Unauthenticated(f"The token must be signed with {names}.") from error
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(f"The token is not a valid JWT: {error}.") from error


def _decoded(token: str, key: Any, algorithm: str, rules: TokenRules) -> dict[str, Any]:
    # The form of a subject is the issuer's choice.
    options: Any = {
        "verify_sub": False,
        "verify_aud": rules.audience is not None,
        "require": ["exp"] if rules.require_exp else [],
    }
    claims = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        options=options,
        issuer=rules.issuer,
        audience=rules.audience,
    )
    _check_texts(claims)
    return claims


def _check_texts(claims: dict[str, Any]) -> None:
    """Refuses claims with text that UTF-8 or PostgreSQL cannot represent."""
    try:
        text = json.dumps(claims, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise Unauthenticated("The token holds half of a surrogate pair.") from error
    if HOLDS_NUL.search(text):
        raise Unauthenticated("The token holds the character U+0000.")
