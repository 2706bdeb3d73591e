import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_service.graphql.arrow.result_types import (
    ListType,
    ObjectType,
    ResultField,
    ScalarType,
    arrow_schema,
)
from flight_service.graphql.arrow.to_json import rows_text


def shown(field: ResultField, values: list[Any]) -> list[Any]:
    batch = pa.record_batch([pa.array(values, arrow_schema((field,))[0].type)], [field.key])
    text = rows_text(batch, (field,)).to_pybytes()
    return [row[field.key] for row in json.loads(b"[" + text + b"]", parse_float=Decimal)]


def scalar(kind: pa.DataType) -> ResultField:
    return ResultField("v", ScalarType(kind), nullable=True)


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_text_comes_back(values: list[str | None]) -> None:
    assert shown(scalar(pa.string()), values) == values


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_every_number_comes_back(values: list[float | None]) -> None:
    found = shown(scalar(pa.float64()), values)
    assert [None if one is None else float(one) for one in found] == values


@given(
    st.lists(
        st.none()
        | st.decimals(
            allow_nan=False, allow_infinity=False, places=10, min_value=-(10**20), max_value=10**20
        )
    )
)
def test_every_exact_number_comes_back(values: list[Decimal | None]) -> None:
    assert shown(scalar(pa.decimal128(38, 10)), values) == values


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (
            pa.timestamp("us", "UTC"),
            datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
            "2026-01-02T03:04:05.000006Z",
        ),
        (pa.date32(), date(1, 1, 1), "0001-01-01"),
        (pa.time64("us"), time(1, 2, 3, 4), "01:02:03.000004"),
        (pa.int64(), -(2**63), -(2**63)),
        (pa.bool_(), True, True),
        (pa.decimal128(12, 2), Decimal("100.00"), 100),
        (pa.decimal128(12, 0), Decimal("100"), 100),
    ],
)
def test_each_type_has_its_text(kind: pa.DataType, value: Any, text: Any) -> None:
    assert shown(scalar(kind), [value, None]) == [text, None]


def test_lists_and_objects_are_null_where_they_are_absent() -> None:
    inner = ObjectType((ResultField("a", ScalarType(pa.int32()), nullable=True),))
    many = ResultField("v", ListType(ResultField("item", inner, nullable=True)), nullable=True)
    values = [[{"a": 1}, None, {"a": None}], None, []]
    assert shown(many, values) == values


def test_a_part_of_a_column_is_shown_as_that_part() -> None:
    item = ResultField("item", ScalarType(pa.int32()), nullable=True)
    field = ResultField("v", ListType(item), nullable=True)
    batch = pa.record_batch([pa.array([[1], [2, 3], None, [4]], pa.list_(pa.int32()))], ["v"])
    text = rows_text(batch.slice(1, 2), (field,)).to_pybytes()
    assert text == b'{"v":[2,3]},{"v":null}'
