"""Locks a data folder for one process, and closes it to other users."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "lock"


PRIVATE = 0o700


class FolderInUse(Exception):
    """Another process uses the data folder."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Locks a folder during the block. The lock ends with the process, however it ends.

    Raises:
        FolderInUse: another process has locked it. The message names the folder and the process.
    """
    path = folder / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise FolderInUse(
                f"the data folder {folder} is in use by process {holder}. "
                "Stop that one first, or choose another folder with --data-dir."
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


@contextmanager
def private_files() -> Iterator[None]:
    """Lets only the owner read files that are created during the block, also by programs that are
    started in it."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def make_private(folder: Path) -> None:
    """Creates the folder if it does not exist, and closes it to other users.

    The mode of a folder that held other files before is not changed.

    Raises:
        OSError: it cannot be created, or belongs to another user.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    if (folder / LOCK_NAME).exists() or not any(folder.iterdir()):
        folder.chmod(PRIVATE)
