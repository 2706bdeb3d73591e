import time
from typing import Any

import jwt
import pytest
from pydantic import SecretStr, ValidationError

from flight_service.authentication import ANYONE, authenticate
from flight_service.errors import Unauthenticated
from fraiseql_assets.settings import Settings

SECRET = "a secret of at least thirty-two characters"
OTHER = "another secret of thirty-two characters or so"


def header(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return f"Bearer {jwt.encode(claims, secret, algorithm)}"


def test_claims_travel_to_the_caller() -> None:
    claims = {"sub": "ada", "tenant_id": "acme", "roles": ["admin"], "scope": "read write", "x": 1}
    principal = authenticate(header(**claims), SecretStr(SECRET))
    assert (principal.subject, principal.tenant) == ("ada", "acme")
    assert (principal.roles, principal.scopes) == (
        frozenset({"admin"}),
        frozenset({"read", "write"}),
    )
    assert principal.claims == claims


def test_older_issuers_names_are_read() -> None:
    principal = authenticate(
        header(sub="7", org_id="acme", role="viewer", scopes=["read"]), SecretStr(SECRET)
    )
    assert (principal.tenant, principal.roles, principal.scopes) == ("acme", {"viewer"}, {"read"})


def test_without_a_secret_anyone_may_call() -> None:
    assert authenticate(None, None) is ANYONE
    assert authenticate("Bearer nonsense", None) == ANYONE


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        (None, "Send the header `authorization: Bearer <JWT>`"),
        ("", "Send the header"),
        ("Basic YTpi", "Send the header"),
        ("Bearer ", "Send the header"),
        ("Bearer a.b.c", "not a valid JWT"),
        (header(OTHER), "signed with another secret"),
        (header(exp=int(time.time()) - 60), "has expired"),
        (header(nbf=int(time.time()) + 86_400), "not valid yet"),
        (header(SECRET * 2, "HS512"), "must be signed with HS256"),
        (f"Bearer {jwt.encode({}, '', 'none')}", "must be signed with HS256"),
    ],
)
def test_a_token_that_does_not_hold_is_told_why(authorization: str | None, said: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(authorization, SecretStr(SECRET))
    assert said in str(caught.value)


def test_a_secret_that_is_too_short_is_no_secret() -> None:
    with pytest.raises(ValidationError, match="at least 32"):
        Settings(jwt_secret=SecretStr("x" * 31))
