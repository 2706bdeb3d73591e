"""Benchmarks are run by hand; the tests only see that none has lost a part."""

import subprocess
import sys

from benchmarks.__main__ import EVERY, FOLDER

IMPORT_ALL = """
import runpy, sys
for name in sys.argv[2:]:
    runpy.run_path(f"{sys.argv[1]}/{name}.py")
"""


def test_every_benchmark_finds_what_it_imports() -> None:
    # As a program it finds the modules of its folder first.
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, FOLDER, *EVERY],
        env={"PYTHONPATH": f"{FOLDER}:{FOLDER.parent}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
