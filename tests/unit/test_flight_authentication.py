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


HOUR = int(time.time()) + 3600
GUARDED = Settings(jwt_secret=SecretStr(SECRET))


def header(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return f"Bearer {jwt.encode(claims, secret, algorithm)}"


def test_claims_are_read_into_the_principal() -> None:
    claims = {"sub": "ada", "tenant_id": "acme", "roles": ["admin"], "scope": "read write"}
    claims |= {"exp": HOUR, "x": 1}
    principal = authenticate(header(**claims), GUARDED)
    assert (principal.subject, principal.tenant) == ("ada", "acme")
    assert (principal.roles, principal.scopes) == (
        frozenset({"admin"}),
        frozenset({"read", "write"}),
    )
    assert principal.claims == claims


def test_older_claim_names_are_read() -> None:
    principal = authenticate(
        header(exp=HOUR, sub="7", org_id="acme", role="viewer", scopes=["read"]), GUARDED
    )
    assert (principal.tenant, principal.roles, principal.scopes) == ("acme", {"viewer"}, {"read"})


def test_a_tenant_without_a_value_is_not_the_tenant() -> None:
    # Whoever has no tenant reads every row.
    principal = authenticate(header(exp=HOUR, tenant_id=None, org_id="acme"), GUARDED)
    assert principal.tenant == "acme"


@pytest.mark.parametrize(
    ("exp", "expires"),
    [(HOUR, HOUR), (f"{HOUR}", HOUR), (HOUR + 0.5, HOUR), (10**400, 10**400)],
    ids=["integer", "text", "fraction", "huge"],
)
def test_a_principal_has_the_expiry_of_its_token(exp: Any, expires: int) -> None:
    assert authenticate(header(exp=exp), GUARDED).expires == expires


def test_without_a_secret_every_call_is_accepted() -> None:
    assert authenticate(None, Settings()) is ANYONE
    assert authenticate("Bearer nonsense", Settings()) == ANYONE


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
        (header(exp=HOUR, nbf=HOUR - 60), "not valid yet"),
        (header(), "lacks the claim exp"),
        (header(exp=None), "lacks the claim exp"),
        (header(SECRET * 2, "HS512"), "must be signed with HS256"),
        (f"Bearer {jwt.encode({}, '', 'none')}", "must be signed with HS256"),
    ],
)
def test_an_invalid_token_is_refused_with_the_reason(authorization: str | None, said: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(authorization, GUARDED)
    assert said in str(caught.value)


def test_a_setting_accepts_tokens_that_never_expire() -> None:
    settings = GUARDED.model_copy(update={"jwt_require_exp": False})
    assert authenticate(header(sub="ada"), settings).subject == "ada"
    with pytest.raises(Unauthenticated, match="has expired"):
        authenticate(header(exp=int(time.time()) - 60), settings)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({}, "lacks the claim"),
        ({"iss": "https://other", "aud": "assets"}, "of another issuer"),
        ({"iss": "https://issuer", "aud": "others"}, "for another audience"),
        ({"iss": "https://issuer", "aud": ["others"]}, "for another audience"),
        ({"iss": "https://issuer"}, "lacks the claim aud"),
        ({"aud": "assets"}, "lacks the claim iss"),
    ],
)
def test_issuer_and_audience_are_required_where_they_are_set(
    claims: dict[str, Any], said: str
) -> None:
    settings = GUARDED.model_copy(update={"jwt_issuer": "https://issuer", "jwt_audience": "assets"})
    with pytest.raises(Unauthenticated, match=said):
        authenticate(header(exp=HOUR, **claims), settings)
    for audience in ("assets", ["others", "assets"]):
        token = header(exp=HOUR, iss="https://issuer", aud=audience)
        assert authenticate(token, settings).claims["iss"] == "https://issuer"


def test_without_the_settings_any_issuer_and_audience_is_accepted() -> None:
    assert authenticate(header(exp=HOUR, iss="x", aud="y"), GUARDED).claims["aud"] == "y"


def test_a_secret_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 32"):
        Settings(jwt_secret=SecretStr("x" * 31))
