"""Identifies the client of an `authorization` header: a JWT, a session token or a password."""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from flight_service.errors import UNAVAILABLE, ServiceError, Unauthenticated
from flight_service.identity.basic import BASIC, BEARER, Credentials, credentials_of
from flight_service.identity.jwks import KeySet, reading_from
from flight_service.identity.login_attempts import Attempts
from flight_service.identity.passwords import hashed, matches
from flight_service.identity.principal import ANYONE, Principal, principal_from
from flight_service.identity.sessions import TYPE, claims_of_session, session_token
from flight_service.identity.signing import signing_key
from flight_service.identity.tokens import TokenRules, claims_of, expiry_of, type_of
from flight_service.identity.users import User, UsersError, UsersFile
from flight_service.identity.waiting import MustWait
from fraiseql_assets.settings import Settings

OPEN_TOKEN = "anonymous"
"""The session token of a service without authentication."""
KNOWN_SECONDS = 300.0
MOST_KNOWN = 1000
HASHED_AT_ONCE = 2
MOST_WAITING = 32
"""How many passwords may be checked or waiting at the same time."""


class PasswordsBusy(ServiceError):
    """Too many passwords are being checked."""

    status = UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("Too many passwords are being checked. Try again in a moment.")


@dataclass(frozen=True, slots=True)
class Identities:
    """The settings for identifying clients."""

    secret: str | None
    jwks: str | None
    issuer: str | None
    audience: str | None
    require_exp: bool
    users: Path | None
    session_key: bytes
    session_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Identities":
        secret = settings.jwt_secret
        return cls(
            secret=None if secret is None else secret.get_secret_value(),
            jwks=settings.jwt_jwks,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            require_exp=settings.jwt_require_exp,
            users=settings.users_file,
            session_key=signing_key(settings, "sessions"),
            session_seconds=settings.session_seconds,
        )


class Verifier:
    """Authenticates clients. Thread-safe."""

    def __init__(self, identities: Identities) -> None:
        self._identities = one = identities
        keys = one.jwks and KeySet(reading_from(one.jwks))
        self._rules = TokenRules(
            one.secret, keys or None, one.issuer, one.audience, one.require_exp
        )
        self._users = one.users and UsersFile(one.users)
        self._is_guarded = bool(one.secret or one.jwks or one.users)
        self._passwords = _Passwords()

    def principal(self, authorization: str | None, *, may_wait: bool) -> Principal:
        """The principal of a header. `ANYONE` if no tokens are checked.

        Raises:
            Unauthenticated: the header is missing or invalid.
            ServiceError: checking is not possible at the moment.
            MustWait: checking takes time, and the call may not wait.
        """
        if not self._is_guarded:
            forwarded = authorization if authorization != f"Bearer {OPEN_TOKEN}" else None
            return replace(ANYONE, authorization=forwarded) if forwarded else ANYONE
        scheme, _, value = (authorization or "").strip().partition(" ")
        value, expires = value.strip(), None
        if scheme.lower() == BEARER and value:
            claims = self._claims(value, may_wait=may_wait)
            expires = expiry_of(value)
        elif scheme.lower() == BASIC and value and self._users:
            claims = self._claims_of_user(credentials_of(value), self._users, may_wait=may_wait)
        else:
            raise Unauthenticated(self._wanted())
        return replace(principal_from(claims), authorization=authorization, expires=expires)

    def session(self, principal: Principal) -> str:
        """A session token for a principal, or the one that it sent."""
        scheme, _, value = (principal.authorization or "").strip().partition(" ")
        is_bearer = scheme.lower() == BEARER
        if not self._is_guarded:
            return value.strip() if is_bearer else OPEN_TOKEN
        if is_bearer and type_of(value.strip()) == TYPE:
            # A session cannot renew itself.
            return value.strip()
        one = self._identities
        return session_token(principal.claims, one.session_key, one.session_seconds)

    def _wanted(self) -> str:
        basic = ", or log in with a user name and a password" if self._users else ""
        return f"Send the header `authorization: Bearer <JWT>` with every call{basic}."

    def _claims(self, token: str, *, may_wait: bool) -> dict[str, object]:
        if type_of(token) == TYPE:
            return claims_of_session(token, self._identities.session_key)
        return claims_of(token, self._rules, may_wait=may_wait)

    def _claims_of_user(
        self, given: Credentials, users: UsersFile, *, may_wait: bool
    ) -> dict[str, object]:
        try:
            user = users.find(given.name)
        except UsersError as error:
            raise UsersUnavailable from error
        self._passwords.check(given, user, may_wait=may_wait)
        assert user is not None, "nobody has the password of no user"
        return user.claims(given.name)


class UsersUnavailable(ServiceError):
    """The users file cannot be read."""

    status = UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("The users of this service cannot be read. Its log says why.")


class WrongPassword(Unauthenticated):
    """The user name or the password is wrong; the message does not say which."""

    def __init__(self, name: str) -> None:
        super().__init__("The user name or the password is wrong.")
        self.user = name


class _Passwords:
    """Checks passwords, few at once, and caches verified ones for some minutes."""

    def __init__(self) -> None:
        self._attempts = Attempts()
        self._hashing = threading.Semaphore(HASHED_AT_ONCE)
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[User, float]] = OrderedDict()

    def check(self, given: Credentials, user: User | None, *, may_wait: bool) -> None:
        """Returns if it is the user's password.

        Raises:
            WrongPassword: it is not, or there is no such user.
            TooManyAttempts: it was wrong too often.
            MustWait: it has to be checked, and the call may not wait.
        """
        mark = hmac.digest(self._key, f"{given.name}\0{given.password}".encode(), "sha256")
        if user is not None and self._is_known(mark, user):
            return
        if not may_wait:
            raise MustWait
        if not self._waiting.acquire(blocking=False):
            raise PasswordsBusy
        try:
            succeeded = self._attempts.begin(given.name)
            with self._hashing:
                # A user that is not there takes as long as one that is.
                is_right = matches(given.password, self._nobody if user is None else user.password)
        finally:
            self._waiting.release()
        if user is None or not is_right:
            raise WrongPassword(given.name)
        succeeded()
        with self._lock:
            self._known[mark] = user, time.monotonic() + KNOWN_SECONDS
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)

    def _is_known(self, mark: bytes, user: User) -> bool:
        with self._lock:
            found = self._known.get(mark)
        return found is not None and found[0] == user and time.monotonic() < found[1]

    @cached_property
    def _nobody(self) -> str:
        return hashed(secrets.token_hex(16))


@lru_cache(maxsize=64)
def _verifier(identities: Identities) -> Verifier:
    return Verifier(identities)


def verifier_of(settings: Settings) -> Verifier:
    """The verifier of the settings, one for equal ones: keys and attempts are this process's."""
    return _verifier(Identities.of(settings))
