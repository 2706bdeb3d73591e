"""N17, second half: DoGet of a table in memory over TLS, against the same without.

Both sides are the Flight service, each in a process of its own, with tokens.
"""

import argparse
import tempfile
from pathlib import Path

from flight import several
from harness import ROUNDS, Comparison, alternate, report
from processes import Service, table_service

GOAL = 0.5


def n17(encrypted: Service, plain: Service, rounds: int) -> Comparison:
    with encrypted.connect() as secret, plain.connect() as open_one:
        sides, load = alternate(
            {
                "over TLS": lambda: several(secret, encrypted.options),
                "without": lambda: several(open_one, plain.options),
            },
            unit="rows/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = "DoGet of an in-memory table over TLS, against the same without"
    return Comparison("N17", measure, f"≥ {GOAL:.2f}", value, value >= GOAL, sides, load)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="N17: DoGet over TLS.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        table_service(Path(folder), has_tls=True) as encrypted,
        table_service(Path(folder)) as plain,
    ):
        report("tls", [n17(encrypted, plain, rounds)])
