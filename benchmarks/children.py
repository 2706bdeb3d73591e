"""Runs a client as a process of its own, and measures its reading and its memory."""

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 300
PRINTED = re.compile(r"(?P<rows>\d+) rows.* (?P<seconds>[\d.]+) s$", re.MULTILINE)
"""What a client prints: how many rows it read, and in how many seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of a client has read."""

    rows: int
    seconds: float
    """As the client itself took them, without its start."""
    peak_mib: float
    """The largest memory of the process and of those that it has started."""

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds


def read(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cwd: Path | None = None
) -> Reading:
    """Runs a client.

    Raises:
        RuntimeError: it failed, took too long or did not print what it has read. The message has
            its output.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**os.environ, **environment},
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        # `wait4` alone tells the memory of one child.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        output.seek(0)
        text = output.read()
    found = PRINTED.search(text)
    if process.returncode or found is None:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{text}")
    return Reading(int(found["rows"]), float(found["seconds"]), usage.ru_maxrss / 2**10)
