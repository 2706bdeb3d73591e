"""The public keys of a token issuer (JWKS), from a URL or a file.

A known key is found without waiting. Keys are refreshed in the background after some minutes, and
at once for an unknown key id, at most every few seconds. While an issuer does not answer, the known
keys stay valid.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import requests

from flight_service.errors import UNAVAILABLE, ServiceError
from flight_service.identity.waiting import MustWait

ALGORITHMS = ("RS256", "ES256")
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""The private members of a key."""
FETCH_SECONDS = 5.0
"""The timeout of requests to an issuer, and of calls that wait for it."""
AGAIN_SECONDS = 5.0
"""The interval between requests for unknown keys."""
FRESH_SECONDS = 300.0
"""The age at which known keys are refreshed."""
MOST_BYTES = 2**20
MOST_WAITING = 32
"""How many calls may wait for an issuer."""

logger = logging.getLogger(__name__)


class KeysUnavailable(ServiceError):
    """The keys of the token issuer are not available at the moment."""

    status = UNAVAILABLE

    def __init__(self, why: str) -> None:
        super().__init__(f"The keys of the tokens' issuer cannot be read: {why}. Try again later.")


class KeysError(Exception):
    """The keys cannot be read or are invalid; the message says why."""


class KeySet:
    """The public keys of an issuer. Thread-safe."""

    def __init__(
        self, read: Callable[[], bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`read` returns the JWKS. It may block, and raise `KeysError`."""
        self._read, self._clock = read, clock
        self._lock = threading.Lock()
        self._waiting = threading.Semaphore(MOST_WAITING)
        self._keys: tuple[jwt.PyJWK, ...] = ()
        self._failure: str | None = None
        self._begun: float | None = None
        self._running: threading.Event | None = None

    def find(self, kid: str | None, algorithm: str, *, may_wait: bool) -> list[jwt.PyJWK]:
        """The keys for verifying a token; none if the issuer has no such key.

        Raises:
            KeysUnavailable: the key is unknown, and the issuer does not answer.
            MustWait: a request to the issuer is needed, and the call may not wait.
        """
        if found := self._known(kid, algorithm):
            if self._is_older_than(FRESH_SECONDS):
                self._start_reading()
            return found
        if (reading := self._start_reading()) is not None:
            if not may_wait:
                raise MustWait
            self._wait(reading)
        if found := self._known(kid, algorithm):
            return found
        if self._failure is not None:
            raise KeysUnavailable(self._failure)
        return []

    def _known(self, kid: str | None, algorithm: str) -> list[jwt.PyJWK]:
        return [
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (kid is None or key.key_id == kid)
        ]

    def _is_older_than(self, seconds: float) -> bool:
        return self._begun is None or self._clock() - self._begun > seconds

    def _start_reading(self) -> threading.Event | None:
        """An event that is set after a refresh; None if it is too early for one."""
        with self._lock:
            # A refresh that hangs for long is abandoned.
            if self._running is not None and not self._is_older_than(2 * FETCH_SECONDS):
                return self._running
            if not self._is_older_than(AGAIN_SECONDS):
                return None
            self._begun, self._running = self._clock(), threading.Event()
            thread = threading.Thread(
                target=self._refresh, args=(self._running,), name="jwks", daemon=True
            )
            thread.start()
            return self._running

    def _wait(self, reading: threading.Event) -> None:
        if not self._waiting.acquire(blocking=False):
            raise KeysUnavailable(f"{MOST_WAITING} calls wait for it")
        try:
            if not reading.wait(FETCH_SECONDS):
                raise KeysUnavailable(f"it has not answered within {FETCH_SECONDS:g} seconds")
        finally:
            self._waiting.release()

    def _refresh(self, reading: threading.Event) -> None:
        try:
            self._keys, self._failure = keys_in(self._read()), None
        except KeysError as error:
            self._failure = str(error)
            logger.warning("The keys of the tokens' issuer cannot be read: %s", error)
        except Exception:
            self._failure = "the service failed on it, and its log says why"
            logger.exception("The keys of the tokens' issuer cannot be read")
        finally:
            with self._lock:
                if self._running is reading:
                    self._running = None
            reading.set()


def keys_in(content: bytes) -> tuple[jwt.PyJWK, ...]:
    """The keys of a JWKS that verify signatures of `ALGORITHMS`. Other keys and secrets are
    ignored.

    Raises:
        KeysError: it is not a JWKS, or has no such key.
    """
    try:
        given: Any = json.loads(content)
        members = [one for one in given["keys"] if isinstance(one, dict)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeysError("it is no JWKS, a JSON object with the member keys") from error
    keys: list[jwt.PyJWK] = []
    for member in members:
        if member.get("kty") not in ("RSA", "EC") or member.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK({name: one for name, one in member.items() if name not in PRIVATE})
        except (jwt.InvalidTokenError, jwt.PyJWTError):
            continue
        if key.algorithm_name in ALGORITHMS:
            keys.append(key)
    if not keys:
        raise KeysError(f"it has no key for {' or '.join(ALGORITHMS)}")
    return tuple(keys)


def is_address(source: str) -> bool:
    """Whether the setting is a URL; otherwise it is the path of a file."""
    return source.startswith(("http://", "https://"))


def reading_from(source: str) -> Callable[[], bytes]:
    """A function that reads the JWKS from a URL or a file."""
    return (lambda: _fetched(source)) if is_address(source) else (lambda: _of_file(Path(source)))


def _of_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeysError(f"the file cannot be read ({error.strerror})") from error


def _fetched(address: str) -> bytes:
    content = bytearray()
    try:
        with requests.get(
            address, timeout=FETCH_SECONDS, stream=True, allow_redirects=False
        ) as answer:
            if answer.status_code != 200:
                raise KeysError(f"it answers with the status {answer.status_code}")
            for piece in answer.iter_content(2**14):
                content += piece
                if len(content) > MOST_BYTES:
                    raise KeysError(f"it sends more than {MOST_BYTES:,} bytes")
    except requests.RequestException as error:
        logger.warning("%s: %s", address, error)
        raise KeysError("it does not answer") from error
    return bytes(content)
