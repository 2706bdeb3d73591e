"""Where a running local stack is: one small file, written by it, read by commands beside it.

The stack holds a lock on the file while it runs. A file that nobody holds is what a crash has left
and counts for nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NAME = "endpoints.env"


@contextmanager
def published(folder: Path, variables: Mapping[str, str]) -> Iterator[Path]:
    """Makes addresses known in `folder` for the length of the block; yields the file."""
    import fcntl

    path, unfinished = folder / NAME, folder / f"{NAME}.unfinished"
    with unfinished.open("w") as file:
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
