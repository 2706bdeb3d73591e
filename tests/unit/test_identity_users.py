"""Passwords, the users file, and how often a password may be tried."""

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from flight_service.authentication import authenticate
from flight_service.errors import ServiceError, SettingError, Unauthenticated
from flight_service.identity.basic import credentials_of
from flight_service.identity.checks import check_identities
from flight_service.identity.login_attempts import MOST_FAILURES, Attempts, TooManyAttempts
from flight_service.identity.passwords import PasswordError, check_stored, hashed, matches
from flight_service.identity.users import User, UsersError, UsersFile, read_users, write_users
from flight_service.identity.waiting import MustWait
from fraiseql_assets.settings import Settings

PASSWORD = "correct: hörse"
STORED = hashed(PASSWORD, cost=16)
ADA = User(STORED, "acme", ("analyst",), ("sql",))


def basic(name: str, password: str, *, padded: bool = True) -> str:
    encoded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return f"Basic {encoded if padded else encoded.rstrip('=')}"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes without the cost of scrypt."""
    monkeypatch.setattr("flight_service.identity.passwords.COST", 16)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    write_users(path := tmp_path / "users.json", {"ada": ADA})
    return path


def test_a_password_is_stored_as_a_hash() -> None:
    assert PASSWORD not in STORED
    assert matches(PASSWORD, STORED)
    assert not matches(PASSWORD + " ", STORED)
    assert hashed(PASSWORD, cost=16) != STORED


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "secret",
        STORED.replace("scrypt", "plain"),
        STORED.replace("$16$", "$0$"),
        STORED.replace("$16$", "$15$"),
        STORED.replace("$16$", f"${2**21}$"),
        STORED + "=",
        "$".join([*STORED.split("$")[:5], "YQ=="]),
    ],
    # The salt is random, and so would the names be.
    ids=["nothing", "no hash", "algorithm", "rounds 0", "rounds 15", "rounds 2**21", "hash", "key"],
)
def test_an_invalid_password_hash_is_refused(stored: str) -> None:
    with pytest.raises(PasswordError):
        check_stored(stored)


def test_the_users_file_is_readable_only_by_its_owner(users: Path) -> None:
    assert read_users(users) == {"ada": ADA}
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    assert os.listdir(users.parent) == [users.name]


def test_a_user_logs_in_with_a_password(users: Path) -> None:
    settings = Settings(users_file=users)
    for padded in (True, False):
        principal = authenticate(basic("ada", PASSWORD, padded=padded), settings)
        assert (principal.subject, principal.tenant) == ("ada", "acme")
        assert (principal.roles, principal.scopes) == ({"analyst"}, {"sql"})


def test_a_verified_password_is_cached(users: Path) -> None:
    settings = Settings(users_file=users)
    with pytest.raises(MustWait):
        authenticate(basic("ada", PASSWORD), settings, may_wait=False)
    authenticate(basic("ada", PASSWORD), settings)
    assert authenticate(basic("ada", PASSWORD), settings, may_wait=False).subject == "ada"
    write_users(users, {"ada": User(hashed("another", cost=16))})
    with pytest.raises(MustWait):
        authenticate(basic("ada", PASSWORD), settings, may_wait=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (basic("ada", "wrong"), "The user name or the password is wrong"),
        (basic("bob", PASSWORD), "The user name or the password is wrong"),
        (basic("", ""), "The user name or the password is wrong"),
        ("Basic ada", "holds base64 of `user:password`"),
        ("Basic YWRh", "holds base64 of `user:password`"),
        ("Basic /w==", "holds base64 of `user:password`"),
        ("Basic", "Send the header `authorization: Bearer <JWT>` .*, or log in"),
        (basic("ada", "x" * 1100), "holds base64"),
        ("Bearer a.b.c", "not a valid JWT"),
    ],
)
def test_invalid_credentials_are_refused(users: Path, given: str, said: str) -> None:
    with pytest.raises(Unauthenticated, match=said):
        authenticate(given, Settings(users_file=users))


def test_the_error_of_a_failed_login_has_the_user(users: Path) -> None:
    with pytest.raises(Unauthenticated) as refused:
        authenticate(basic("ada", "wrong"), Settings(users_file=users))
    assert getattr(refused.value, "user", None) == "ada"


def test_without_a_users_file_passwords_are_refused(users: Path) -> None:
    keys = Settings(jwt_jwks="http://127.0.0.1:1/")
    with pytest.raises(Unauthenticated, match=r"`authorization: Bearer <JWT>` with every call\."):
        authenticate(basic("ada", PASSWORD), keys)


def test_a_deleted_users_file_is_unavailable(users: Path) -> None:
    users.unlink()
    with pytest.raises(ServiceError, match="Its log says why") as refused:
        authenticate(basic("ada", PASSWORD), Settings(users_file=users))
    assert refused.value.status.http == 503


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("{"), "is no users file"),
        (lambda path: path.write_text("[]"), "is no users file: Expected `object`"),
        (lambda path: path.write_text('{"a": {}}'), "missing required field `password`"),
        (lambda path: path.write_text('{"a": {"password": "x", "y": 1}}'), "unknown field `y`"),
        (lambda path: path.write_text('{"a": {"password": "x"}}'), "user 'a': a stored password"),
    ],
)
def test_an_invalid_users_file_stops_the_start(
    tmp_path: Path, write: Callable[[Path], object], said: str
) -> None:
    write(path := tmp_path / "users.json")
    with pytest.raises(SettingError, match=f"FRAISEQL_USERS_FILE: .*{said}"):
        check_identities(Settings(users_file=path))


def test_a_changed_file_is_read_again(users: Path) -> None:
    held = UsersFile(users)
    assert held.find("bob") is None
    write_users(users, {"bob": User(STORED)})
    assert held.find("bob") == User(STORED)
    assert held.find("ada") is None


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsersError, match="cannot be written: No such file"):
        write_users(tmp_path / "nowhere" / "users.json", {})


@pytest.mark.parametrize("text", ["YTpi", "YTpi==", " YTpi "])
def test_base64_padding_is_optional(text: str) -> None:
    assert (credentials_of(text).name, credentials_of(text).password) == ("a", "b")


def test_a_password_may_have_colons_and_is_not_shown() -> None:
    found = credentials_of(base64.b64encode(b"a:b:c").decode())
    assert found.password == "b:c"
    assert "b:c" not in repr(found)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_login_attempts_of_a_user_are_limited() -> None:
    attempts = Attempts(clock := Clock())
    for _ in range(MOST_FAILURES):
        attempts.begin("ada")
        clock.now += 1
    with pytest.raises(TooManyAttempts, match="Try again in 55 seconds"):
        attempts.begin("ada")
    attempts.begin("bob")
    clock.now = 60
    attempts.begin("ada")


def test_a_successful_login_resets_the_limit() -> None:
    attempts = Attempts(Clock())
    for _ in range(3 * MOST_FAILURES):
        attempts.begin("ada")()


def test_repeated_failures_are_answered_with_try_again_later(users: Path) -> None:
    settings = Settings(users_file=users)
    said: list[str] = []
    for _ in range(MOST_FAILURES + 1):
        with pytest.raises(Unauthenticated) as refused:
            authenticate(basic("ada", "wrong"), settings)
        said.append(str(refused.value))
    assert "Try again in" in said[-1]
    assert "is wrong" in said[-2]


def test_the_users_file_has_the_documented_keys(users: Path) -> None:
    held = json.loads(users.read_text())
    assert list(held) == ["ada"]
    assert list(held["ada"]) == ["password", "tenant_id", "roles", "scopes"]
