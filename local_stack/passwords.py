"""The passwords of the embedded servers: random, kept beside each server's data."""

import os
import secrets
from pathlib import Path

from local_stack.programs import StackError, describe_error

RANDOM_BYTES = 24


def password_of(folder: Path) -> str:
    """The password of the server whose data are in `folder`, created on first use.

    It stays the same until the file `<folder>.password` is deleted. Only its owner can read it.

    Raises:
        StackError: the file can neither be read nor created.
    """
    path = folder.with_name(f"{folder.name}.password")
    try:
        return _kept(path) or _created(path)
    except OSError as error:
        raise StackError(f"A password cannot be kept: {describe_error(error)}") from error


def _kept(path: Path) -> str:
    """The password in the file; empty where there is none, also after a crash or a full disk."""
    if not path.exists():
        return ""
    kept = path.read_text().strip()
    if not kept:
        path.unlink()
    return kept


def _created(path: Path) -> str:
    password = secrets.token_urlsafe(RANDOM_BYTES)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "w") as file:
        file.write(f"{password}\n")
    return password
