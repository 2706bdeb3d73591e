"""pandas, which pyarrow imports for itself, costs each process memory and time."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from fraiseql_assets.skip_pandas import skip_pandas
skip_pandas()
import pyarrow as pa
table = pa.table({"n": [1, 2]})
print("pandas" in sys.modules)
print(len(table.to_pandas()))
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_an_array_is_converted_without_pandas(printed: list[str]) -> None:
    assert printed[0] == "False"


def test_a_table_can_be_converted_to_pandas(printed: list[str]) -> None:
    assert printed[1] == "2"
