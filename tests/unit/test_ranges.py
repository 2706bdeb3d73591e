from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraiseql_assets.ranges import SequenceRange, merge, subtract

ranges = st.builds(
    lambda first, length: SequenceRange(first, first + length),
    st.integers(1, 60),
    st.integers(0, 20),
)


def sequences(ranges: list[SequenceRange]) -> set[int]:
    return {n for item in ranges for n in range(item.first, item.last + 1)}


def test_a_range_is_formatted_and_parsed_as_first_dash_last() -> None:
    assert SequenceRange.parse(str(SequenceRange(3, 17))) == SequenceRange(3, 17)


@pytest.mark.parametrize(
    "text", ["", "5", "5-", "-5", "a-b", "5-4", "0-3", "1-2-3", "1 - 2", "+1-2"]
)
def test_an_invalid_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a sequence range"):
        SequenceRange.parse(text)


def test_a_range_of_one_sequence_has_length_one() -> None:
    assert len(SequenceRange(7, 7)) == 1


@given(st.lists(ranges))
def test_merging_keeps_all_sequences(ranges: list[SequenceRange]) -> None:
    assert sequences(merge(ranges)) == sequences(ranges)


@given(st.lists(ranges))
def test_merged_ranges_are_ascending_and_not_adjacent(ranges: list[SequenceRange]) -> None:
    merged = merge(ranges)
    assert all(a.last + 1 < b.first for a, b in pairwise(merged))


@given(ranges, st.lists(ranges))
def test_subtraction_leaves_the_other_sequences(
    whole: SequenceRange, taken: list[SequenceRange]
) -> None:
    assert sequences(subtract(whole, taken)) == sequences([whole]) - sequences(taken)
