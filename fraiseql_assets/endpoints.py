"""Where a running local stack is: one small file, written by it, read by commands beside it.

The addresses hold passwords, so only the file's owner can read it.

The stack holds a lock on the file while it runs. A file that nobody holds is what a crash has left
and counts for nothing.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAME = "endpoints.env"


@contextmanager
def published(folder: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Makes addresses known in `folder` for the length of the block; yields the file."""
    import fcntl

    path, unfinished = folder / NAME, folder / f"{NAME}.unfinished"
    # What a crash has left may be anything, such as a link to another file.
    unfinished.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(unfinished, flags, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        # Whoever finds the file finds all of it, held.
        unfinished.rename(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def of_running_stack(folder: Path) -> Path | None:
    """The file with the addresses of the stack that runs on `folder`, if one does."""
    path = folder / NAME
    try:
        file = path.open()
    except OSError:
        return None
    import fcntl

    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return path
    return None
