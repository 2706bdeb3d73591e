"""The users file: who may log in with a password, as JSON.

{"ada": {"password": "scrypt$…", "tenant_id": "acme", "roles": ["analyst"], "scopes": ["sql"]}}
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from flight_service.identity.passwords import PasswordError, check_stored


class UsersError(Exception):
    """The users file cannot be used; the message says why."""


class User(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A user of the file."""

    password: str
    """In the stored form of `flight_service.identity.passwords`."""
    tenant_id: str | None = None
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()

    def claims(self, name: str) -> dict[str, Any]:
        """The claims of a token of the user."""
        claims: dict[str, Any] = {"sub": name, "roles": [*self.roles], "scopes": [*self.scopes]}
        return claims if self.tenant_id is None else {**claims, "tenant_id": self.tenant_id}


class UsersFile:
    """The users of a file, which is read again when it changes. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], Mapping[str, User]] | None = None

    def find(self, name: str) -> User | None:
        """The user of a name; None if there is none.

        Raises:
            UsersError: the file cannot be read.
        """
        try:
            state = self._path.stat()
        except OSError as error:
            raise UsersError(f"{self._path} cannot be read: {error.strerror}.") from error
        version = (state.st_mtime_ns, state.st_size, state.st_ino)
        held = self._read
        if held is None or held[0] != version:
            held = self._read = version, read_users(self._path)
        return held[1].get(name)


def read_users(path: Path) -> dict[str, User]:
    """The users of a file.

    Raises:
        UsersError: it cannot be read, or is not a users file.
    """
    try:
        users = msgspec.json.decode(path.read_bytes(), type=dict[str, User])
    except OSError as error:
        raise UsersError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsersError(f"{path} is no users file: {error}.") from error
    for name, user in users.items():
        try:
            check_stored(user.password)
        except PasswordError as error:
            raise UsersError(f"{path}, user {name!r}: {error}.") from error
    return users


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Replaces the file atomically, readable only by its owner.

    Raises:
        UsersError: it cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(dict(sorted(users.items()))), indent=2)
    try:
        # Created with mode 0600 and renamed, so that the file is never half written.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as written:
            written.write(content + b"\n")
        Path(name).replace(path)
    except OSError as error:
        raise UsersError(f"{path} cannot be written: {error.strerror}.") from error
