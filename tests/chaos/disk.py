"""A small disk for the log's files, which a fault can fill. Only root can mount it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.nats_store import KEPT_FREE_BYTES

MIB = 2**20
SIZE_BYTES = KEPT_FREE_BYTES + 96 * MIB
"""The stack restarts NATS only if this much is free; the rest is more than the trials publish."""
FILLER = "filler"


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Puts the folder on a file system of its own during the block. Yields whether it did.

    The files are in the folder afterwards too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield False
        return
    kept = folder.with_name(f"{folder.name}.kept")
    try:
        yield True
    finally:
        shutil.copytree(folder, kept)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        kept.rename(folder)


def fill(folder: Path, seconds: float) -> None:
    """Leaves no room on the folder's file system for some seconds."""
    filler = folder / FILLER
    deadline = time.monotonic() + seconds
    try:
        with filler.open("wb", buffering=0) as file:
            while time.monotonic() < deadline:
                _take_all(file.fileno(), MIB)
                _take_all(file.fileno(), 4096)
                time.sleep(0.05)
    finally:
        filler.unlink()


def _take_all(file: int, step: int) -> None:
    """Takes all room that is left, in pieces of `step` bytes."""
    try:
        while True:
            os.posix_fallocate(file, os.fstat(file).st_size, step)
    except OSError:
        return
