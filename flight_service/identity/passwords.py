"""Stored passwords, hashed with scrypt."""

import base64
import hashlib
import hmac
import secrets

SCHEME = "scrypt"
COST, BLOCK, PARALLEL = 2**15, 8, 3
"""OWASP's parameters for 32 MiB of memory: about a tenth of a second of a core."""
MOST_COST, MOST_BLOCK, MOST_PARALLEL = 2**20, 32, 16
_SALT_BYTES, _HASH_BYTES = 16, 32


class PasswordError(ValueError):
    """A stored password cannot be read."""


def hashed(password: str, cost: int | None = None) -> str:
    """The stored form of a password: scheme, parameters, salt and hash, separated by `$`."""
    cost, salt = cost or COST, secrets.token_bytes(_SALT_BYTES)
    digest = _digest(password, salt, cost, BLOCK, PARALLEL)
    parts = (SCHEME, cost, BLOCK, PARALLEL, _text(salt), _text(digest))
    return "$".join(map(str, parts))


def matches(password: str, stored: str) -> bool:
    """Whether the password matches the stored one. Takes the same time in both cases.

    Raises:
        PasswordError: the stored value is not a hash of this module.
    """
    salt, digest, parameters = _read(stored)
    return hmac.compare_digest(_digest(password, salt, *parameters), digest)


def check_stored(stored: str) -> None:
    """Returns if a stored password can be read.

    Raises:
        PasswordError: it cannot be read.
    """
    _read(stored)


def _read(stored: str) -> tuple[bytes, bytes, tuple[int, int, int]]:
    try:
        scheme, cost, block, parallel, salt, digest = stored.split("$")
        parameters = int(cost), int(block), int(parallel)
        found = base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
    except ValueError as error:
        raise PasswordError("a stored password is `scrypt$…` with six parts") from error
    most = MOST_COST, MOST_BLOCK, MOST_PARALLEL
    fits = all(1 <= one <= limit for one, limit in zip(parameters, most, strict=True))
    if scheme != SCHEME or not fits or parameters[0] & (parameters[0] - 1) or len(found[1]) < 16:
        raise PasswordError("a stored password is `scrypt$…` with parameters that are in use")
    return *found, parameters


def _digest(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost,
        r=block,
        p=parallel,
        maxmem=2**20 + 128 * block * (cost + parallel + 2),
        dklen=_HASH_BYTES,
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
