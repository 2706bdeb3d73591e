"""Tokens that an issuer signs with a private key, verified by its published keys."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from flight_service.authentication import authenticate
from flight_service.errors import SettingError, Unauthenticated
from flight_service.identity.checks import check_identities
from flight_service.identity.jwks import KeysError, KeySet, KeysUnavailable, keys_in, reading_from
from flight_service.identity.waiting import MustWait
from fraiseql_assets.settings import Settings
from tests.unit.issuer import Issuer, Key, jwks, serving_keys

SECRET = "a secret of at least thirty-two characters"
RSA, EC = Key("r1"), Key("e1", "ES256")
OTHER = Key("r1")
"""A key that no issuer publishes, under the id of one that is published."""
NEXT = Key("r2")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving_keys(jwks(RSA, EC)) as served:
        yield served


def settings(issuer: Issuer, **changes: Any) -> Settings:
    return Settings.model_validate({"jwt_jwks": issuer.url, **changes})


@pytest.mark.parametrize("key", [RSA, EC])
def test_a_token_of_a_published_key_is_valid(issuer: Issuer, key: Key) -> None:
    token = key.token(tenant_id="acme", scope="a b")
    principal = authenticate(f"Bearer {token}", settings(issuer))
    assert (principal.subject, principal.tenant, principal.scopes) == ("ada", "acme", {"a", "b"})
    authenticate(f"Bearer {token}", settings(issuer))
    assert issuer.asked == 1


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    (path := tmp_path / "jwks.json").write_bytes(jwks(EC))
    found = Settings(jwt_jwks=str(path))
    check_identities(found)
    assert authenticate(f"Bearer {EC.token()}", found).subject == "ada"


def test_a_token_without_a_key_id_is_verified_with_every_key(issuer: Issuer) -> None:
    unnamed = Key(None)
    issuer.content = jwks(RSA, EC, unnamed)
    assert authenticate(f"Bearer {unnamed.token()}", settings(issuer)).subject == "ada"


def altered(token: str) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "root"}).encode())
    return f"{head}.{forged.rstrip(b'=').decode()}.{signature}"


def public_as_secret() -> str:
    """A token whose secret is the text of the public key, which everyone knows."""
    number = RSA.public()["n"]
    return jwt.encode({"sub": "root", "exp": 2**33}, number, "HS256", {"kid": "r1"})


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (OTHER.token(), "signed with another secret or key"),
        (altered(RSA.token()), "signed with another secret or key"),
        (Key("r9").token(), "signed with a key that its issuer does not have"),
        (jwt.encode({"exp": 2**33}, EC.private, "ES256", {"kid": "r1"}), "issuer does not have"),
        (jwt.encode({"exp": 2**33}, RSA.private, "RS512", {"kid": "r1"}), "RS256 or ES256"),
        (public_as_secret(), "must be signed with RS256 or ES256"),
        (jwt.encode({"exp": 2**33}, SECRET, "HS256"), "must be signed with RS256 or ES256"),
        (jwt.encode({"exp": 2**33}, "", "none"), "must be signed with RS256 or ES256"),
        (RSA.token(exp=1), "has expired"),
    ],
)
def test_a_token_of_an_unpublished_key_is_refused(issuer: Issuer, token: str, said: str) -> None:
    with pytest.raises(Unauthenticated, match=said):
        authenticate(f"Bearer {token}", settings(issuer))


def test_a_secret_and_keys_can_be_used_together(issuer: Issuer) -> None:
    both = settings(issuer, jwt_secret=SecretStr(SECRET))
    shared = jwt.encode({"sub": "bob", "exp": 2**33}, SECRET, "HS256")
    assert authenticate(f"Bearer {shared}", both).subject == "bob"
    assert authenticate(f"Bearer {RSA.token()}", both).subject == "ada"
    with pytest.raises(Unauthenticated, match="signed with another secret or key"):
        authenticate(f"Bearer {public_as_secret()}", both)


def test_issuer_and_audience_are_checked_for_keys_too(issuer: Issuer) -> None:
    strict = settings(issuer, jwt_issuer="https://issuer", jwt_audience="assets")
    token = RSA.token(iss="https://issuer", aud="assets")
    assert authenticate(f"Bearer {token}", strict).subject == "ada"
    with pytest.raises(Unauthenticated, match="of another issuer"):
        authenticate(f"Bearer {RSA.token(iss='https://other', aud='assets')}", strict)
    with pytest.raises(Unauthenticated, match="for another audience"):
        authenticate(f"Bearer {RSA.token(iss='https://issuer', aud='other')}", strict)


class Clock:
    """A clock whose time changes only when it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def found(keys: KeySet, kid: str, *, may_wait: bool = True) -> list[str | None]:
    return [key.key_id for key in keys.find(kid, "RS256", may_wait=may_wait)]


def test_requests_for_new_keys_are_rate_limited(issuer: Issuer) -> None:
    keys = KeySet(reading_from(issuer.url), clock := Clock())
    assert found(keys, "r1") == ["r1"]
    issuer.content = jwks(NEXT)
    # So soon after the last request, nobody's token causes another.
    assert [found(keys, "r2") for _ in range(20)] == [[]] * 20
    assert issuer.asked == 1
    clock.now += 6
    assert found(keys, "r2") == ["r2"]
    assert found(keys, "r1") == []
    assert issuer.asked == 2


def test_known_keys_are_refreshed_in_the_background(issuer: Issuer) -> None:
    keys = KeySet(reading_from(issuer.url), clock := Clock())
    assert found(keys, "r1") == ["r1"]
    clock.now += 301
    issuer.answers.clear()
    assert found(keys, "r1", may_wait=False) == ["r1"]
    issuer.content = jwks(NEXT)
    issuer.answers.set()
    # The request that was begun for r1 brings the new key, and takes the old one away.
    assert found(keys, "r2") == ["r2"]
    assert found(keys, "r1") == []


def test_known_keys_stay_valid_while_the_issuer_is_down(issuer: Issuer) -> None:
    keys = KeySet(reading_from(issuer.url), clock := Clock())
    assert found(keys, "r1") == ["r1"]
    issuer.status = 500
    clock.now += 6
    with pytest.raises(KeysUnavailable, match=r"it answers with the status 500\. Try again later"):
        found(keys, "r2")
    # Nor is it asked again at once.
    with pytest.raises(KeysUnavailable, match="it answers with the status 500"):
        found(keys, "r2")
    assert found(keys, "r1") == ["r1"]
    assert issuer.asked == 2


def test_a_call_without_a_waiting_slot_does_not_wait_for_a_slow_issuer(issuer: Issuer) -> None:
    keys = KeySet(reading_from(issuer.url))
    issuer.answers.clear()
    with pytest.raises(MustWait):
        found(keys, "r1", may_wait=False)


def test_calls_waiting_for_a_slow_issuer_are_limited(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flight_service.identity.jwks.MOST_WAITING", 0)
    keys = KeySet(reading_from(issuer.url))
    issuer.answers.clear()
    with pytest.raises(KeysUnavailable, match="0 calls wait for it"):
        found(keys, "r1")


def test_an_unreachable_issuer_is_unavailable() -> None:
    keys = KeySet(reading_from("http://127.0.0.1:1/jwks.json"))
    with pytest.raises(KeysUnavailable, match="it does not answer") as refused:
        found(keys, "r1")
    assert "127.0.0.1" not in str(refused.value)
    assert refused.value.status.http == 503


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no JWKS"),
        (b"[]", "it is no JWKS"),
        (b"{}", "it is no JWKS"),
        (b'{"keys": 1}', "it is no JWKS"),
        (b'{"keys": []}', "it has no key for RS256 or ES256"),
        (b'{"keys": [1, {}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256"}]}', "it has no key"),
        (
            json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}).encode(),
            "no key",
        ),
        (json.dumps({"keys": [RSA.public(alg="RS512")]}).encode(), "it has no key"),
        (json.dumps({"keys": [RSA.public(use="enc")]}).encode(), "it has no key"),
    ],
)
def test_invalid_keys_are_ignored(content: bytes, said: str) -> None:
    with pytest.raises(KeysError, match=said):
        keys_in(content)


def test_private_parts_of_keys_are_not_kept() -> None:
    from jwt.algorithms import RSAAlgorithm

    member = {**json.loads(RSAAlgorithm.to_jwk(RSA.private)), "kid": "r1"}
    [key] = keys_in(json.dumps({"keys": [member]}).encode())
    assert not hasattr(key.key, "private_numbers")


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "the file cannot be read"), (b"{}", "it is no JWKS"), (b'{"keys": []}', "no key")],
)
def test_a_file_without_keys_stops_the_service(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "jwks.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=f"FRAISEQL_JWT_JWKS is .*{said}"):
        check_identities(Settings(jwt_jwks=str(path)))
