"""pandas and numpy, which pyarrow imports for itself, cost each process memory and time."""

import subprocess
import sys

import pytest

WITHOUT_PANDAS = """
import sys
from fraiseql_assets.skip_pandas import skip_pandas
skip_pandas()
import pyarrow as pa
table = pa.table({"n": [1, 2]})
print("pandas" in sys.modules)
print(len(table.to_pandas()))
"""
ROWS_WITHOUT_EITHER = """
import sys
from fraiseql_assets.skip_pandas import skip_numpy, skip_pandas
skip_numpy()
skip_pandas()
import pyarrow as pa
from pyarrow import flight
from fraiseql_assets.cli.flight_client import rows_of
columns = {"at": pa.array([5, None], pa.timestamp("us", "UTC")), "texts": [["a"], None]}
batch = pa.record_batch(columns)
rows = rows_of(batch)
print("numpy" in sys.modules, "pandas" in sys.modules)
print(rows == batch.to_pylist())
import numpy
print(numpy.zeros(2).size)
"""


def printed(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.fixture(scope="module")
def without_pandas() -> list[str]:
    return printed(WITHOUT_PANDAS)


def test_an_array_is_converted_without_pandas(without_pandas: list[str]) -> None:
    assert without_pandas[0] == "False"


def test_a_table_can_be_converted_to_pandas(without_pandas: list[str]) -> None:
    assert without_pandas[1] == "2"


def test_the_command_line_reads_rows_without_numpy_and_pandas() -> None:
    assert printed(ROWS_WITHOUT_EITHER) == ["False", "False", "True", "2"]
