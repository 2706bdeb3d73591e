"""What libraries import for themselves and nothing uses costs each process memory and time."""

import subprocess
import sys

import pytest

WITHOUT_PANDAS = """
import sys
from fraiseql_assets.skip_imports import skip_pandas
skip_pandas()
import pyarrow as pa
table = pa.table({"n": [1, 2]})
print("pandas" in sys.modules)
print(len(table.to_pandas()))
"""
ROWS_WITHOUT_EITHER = """
import sys
from fraiseql_assets.skip_imports import skip_numpy, skip_pandas
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
WITHOUT_ASYNC_CLIENTS = """
import sys
from fraiseql_assets.skip_imports import skip_async_clients
skip_async_clients()
import fraiseql_assets.operational.plane, fraiseql_assets.stream.log
print("aiohttp" in sys.modules, "httpx" in sys.modules)
import httpx
print(httpx.codes.OK)
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


def test_clients_are_imported_without_what_only_asynchronous_requests_need() -> None:
    assert printed(WITHOUT_ASYNC_CLIENTS) == ["False", "False", "200"]
