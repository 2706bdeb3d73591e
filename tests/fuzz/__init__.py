"""Fuzzing: random input to everything that clients can reach. See `python -m tests.fuzz --help`."""

import sys
from pathlib import Path

# What the tests share, and the strategies of property tests.
for folder in ("", "unit", "end_to_end"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
