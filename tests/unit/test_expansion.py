"""How much memory a client's batch takes once its values are plain."""

from typing import Any

import pyarrow as pa
import pytest

from flight_service.errors import InvalidRequest
from flight_service.expansion import ROW_BYTES, expanded_bytes

VALUES = ["x" * 10_000, "naïve", "", None]


def batch(column: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([column], ["a"])


def dictionary(values: pa.Array, *indices: int | None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), values)


@pytest.mark.parametrize(
    ("column", "least"),
    [
        (pa.array([1, 2, None]), 24),
        (pa.array(VALUES), 10_006),
        (pa.array(VALUES, pa.string_view()), 10_006),
        (pa.array(VALUES * 3, pa.string_view()).slice(4, 4), 10_006),
        (pa.array([b"x" * 100], pa.binary_view()), 100),
        (dictionary(pa.array(VALUES), *[0] * 1000, None), 10_000_000),
        (dictionary(pa.array(VALUES, pa.large_string()), 0, 0, 1, 3), 20_006),
        (dictionary(pa.array(VALUES, pa.string_view()), 0, 0, 1), 20_006),
        (dictionary(pa.array([1.5, 2.5]), *[1] * 100), 800),
        (pa.array([["a", "b"], None]), 2),
        (pa.array([{"a": 1}, None]), 8),
        (pa.StructArray.from_arrays([dictionary(pa.array(VALUES), 0, 0)], ["b"]), 20_000),
        (pa.ListArray.from_arrays([0, 3], dictionary(pa.array(VALUES), 0, 0, 1)), 20_006),
    ],
)
def test_what_rows_refer_to_counts_for_each_row(column: pa.Array, least: int) -> None:
    found = expanded_bytes(batch(column))
    assert least + ROW_BYTES * len(column) <= found <= 2 * least + 500 + ROW_BYTES * len(column)


def test_rows_without_a_byte_count() -> None:
    nulls = pa.Array.from_buffers(pa.null(), 10**12, [None])
    assert expanded_bytes(batch(nulls)) >= 10**12
    lists = pa.ListArray.from_arrays(pa.array([0, 2**31 - 1], pa.int32()), nulls)
    assert expanded_bytes(batch(lists)) >= 10**12


@pytest.mark.parametrize(
    "column",
    [
        pa.RunEndEncodedArray.from_arrays(pa.array([10**9], pa.int32()), pa.array(["x"])),
        pa.ListViewArray.from_arrays([0, 0], [1, 1], pa.array(["x"])),
        dictionary(pa.array([["x"]]), 0, 0),
    ],
)
def test_other_references_are_refused(column: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"The column a is .* Send plain values\."):
        expanded_bytes(batch(column))


def test_an_index_of_no_value_is_refused() -> None:
    buffers = [None, pa.py_buffer(b"\x05")]
    indices = pa.Array.from_buffers(pa.int8(), 1, buffers)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["x"]), safe=False)
    with pytest.raises(InvalidRequest, match="The column a is damaged"):
        expanded_bytes(batch(column))
