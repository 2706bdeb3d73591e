# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Pseudo-random numbers and UUIDs that are hashes of keys, for whole columns."""

from functools import cache
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.Array | pa.ChunkedArray


def _word(value: int) -> pa.Scalar:
    return pa.scalar(value % 2**64, pa.uint64())


def _mixed(words: Column) -> Column:
    """SplitMix64's finaliser: a bijection of 64-bit words in which each bit affects all others."""
    words = pc.add(words, _word(0x9E3779B97F4A7C15))
    words = pc.multiply(pc.bit_wise_xor(words, pc.shift_right(words, _word(30))),
                        _word(0xBF58476D1CE4E5B9))  # fmt: skip
    words = pc.multiply(pc.bit_wise_xor(words, pc.shift_right(words, _word(27))),
                        _word(0x94D049BB133111EB))  # fmt: skip
    return pc.bit_wise_xor(words, pc.shift_right(words, _word(31)))


def hashed(keys: Column, *salts: Column | int) -> Column:
    """A 64-bit hash per key. A salt is a number or a column of numbers."""
    words = _mixed(keys.cast(pa.uint64()))
    for salt in salts:
        grain = _word(salt) if isinstance(salt, int) else salt.cast(pa.uint64())
        words = _mixed(pc.bit_wise_xor(_mixed(pc.add(words, grain)), grain))
    return words


def below(words: Column, limit: int) -> Column:
    """Maps the words to integers from 0 up to, but not including, `limit`."""
    numbers = pc.shift_right(words, _word(1)).cast(pa.int64())
    return pc.subtract(numbers, pc.multiply(pc.divide(numbers, limit), limit))


def uuid_texts(words: Column) -> Column:
    """A UUID (version 8, RFC 9562) per word, as text."""
    high, low = _uuid_words(words)
    parts = [_four(high, 48), _four(high, 32), "-", _four(high, 16), "-", _four(high, 0), "-"]
    parts += [_four(low, 48), "-", _four(low, 32), _four(low, 16), _four(low, 0)]
    return pc.binary_join_element_wise(*parts, "")


def uuid_bytes(words: Column) -> pa.Array:
    """The UUIDs of `uuid_texts` as 16 bytes."""
    high, low = (_swapped(half) for half in _uuid_words(words))
    rows = len(words)
    halves = pa.chunked_array([_whole(high), _whole(low)]).combine_chunks()
    places = pa.array([place for row in range(rows) for place in (row, rows + row)], pa.int64())
    return pa.Array.from_buffers(pa.binary(16), rows, [None, halves.take(places).buffers()[1]])


def _uuid_words(words: Column) -> tuple[Column, Column]:
    """Both halves of the UUIDs, with version and variant."""
    high = pc.bit_wise_or(pc.bit_wise_and(words, _word(~0xF000)), _word(0x8000))
    low = pc.bit_wise_and(_mixed(words), _word(2**62 - 1))
    return high, pc.bit_wise_or(low, _word(2**63))


def _four(words: Column, shift: int) -> Column:
    """Four hexadecimal digits per word."""
    return _hexadecimal().take(
        pc.bit_wise_and(pc.shift_right(words, _word(shift)), _word(0xFFFF)).cast(pa.int64())
    )


@cache
def _hexadecimal() -> pa.Array:
    return pa.array([f"{number:04x}" for number in range(2**16)], pa.utf8())


def _swapped(words: Column) -> Column:
    """The words with their bytes in network order."""
    for shift, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF)):
        words = pc.bit_wise_or(
            pc.bit_wise_and(pc.shift_right(words, _word(shift)), _word(mask)),
            pc.shift_left(pc.bit_wise_and(words, _word(mask)), _word(shift)),
        )
    return words


def _whole(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
