"""One process holds a data folder; a second one is told so."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "lock"


class FolderInUse(Exception):
    """Another process works on the data folder."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Holds a folder for the length of the block. The lock goes with the process, however it ends.

    Raises:
        FolderInUse: another process holds it; the message names the folder and the process.
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
