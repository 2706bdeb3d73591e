"""The addresses of a running local stack, in a file that it writes and other commands read.

The addresses contain passwords, so only the owner of the file can read it.

The stack holds a lock on the file while it runs. A file without a lock is left over from a crash
and is ignored.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAME = "endpoints.env"


@contextmanager
def published(folder: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Publishes addresses in a file in `folder` for the duration of the block; yields its path."""
    import fcntl

    path, unfinished = folder / NAME, folder / f"{NAME}.unfinished"
    # A leftover of a crash may be anything, such as a link to another file.
    unfinished.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(unfinished, flags, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
        file.flush()
        # Readers only ever find a complete and locked file.
        unfinished.rename(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def of_running_stack(folder: Path) -> Path | None:
    """The file with the addresses of the stack in `folder`, or None if no stack runs there."""
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
