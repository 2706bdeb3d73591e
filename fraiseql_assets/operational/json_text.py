# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Arrow columns as JSON: times, objects, and words for full-text search."""

import re

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.schema import TIMESTAMP
from fraiseql_assets.json_escaping import value_buffer

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(msgspec.Raw)
_ESCAPE = re.compile(r'\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}')

_WORD = re.compile(r"\w+")
_PARTS = re.compile(r"_+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_SECOND = 1_000_000
_YEAR_ONE = 62_135_596_800 * _SECOND
"""Microseconds from the year 1 to 1970, so that times counted from the year 1 are not negative."""


def rfc3339(times: pa.Array) -> pa.StringArray:
    """Times in microseconds as text to the microsecond, such as 2026-01-01T00:00:00.123456Z.

    Formatting a date is slow, and events of one batch share their seconds, so each second is
    formatted once.
    """
    since = pc.add(times.cast(pa.int64()), _YEAR_ONE)
    seconds = pc.divide(since, _SECOND)
    micros = pc.subtract(since, pc.multiply(seconds, _SECOND))
    distinct = seconds.dictionary_encode()
    moments = pc.subtract(pc.multiply(distinct.dictionary, _SECOND), _YEAR_ONE).cast(TIMESTAMP)
    written = pc.binary_replace_slice(moments.cast(pa.utf8()), 10, 11, "T")
    whole = pc.utf8_slice_codeunits(written, 0, 19).take(distinct.indices)
    padded = pc.add(micros, _SECOND).cast(pa.utf8())
    fraction = pc.binary_replace_slice(padded, 0, 1, ".")
    return pc.binary_join_element_wise(whole, fraction, "Z", "")


def objects(texts: pa.StringArray) -> pa.StringArray:
    """The valid JSON objects among the texts, each on one line; null for other texts."""
    if texts.null_count == len(texts):
        return texts
    # A JSON string has no newline, and between tokens a space is equivalent.
    lines = pc.replace_substring(texts, "\n", " ")
    braced = pc.starts_with(lines, "{")
    if not _all_json(lines):
        braced = pc.and_(braced, pa.array(map(_is_json, lines.to_pylist()), pa.bool_()))
    return pc.if_else(braced, lines, pa.scalar(None, pa.utf8()))


def _all_json(lines: pa.StringArray) -> bool:
    """Whether each line is one JSON value, checked in one call."""
    ended = pc.binary_join_element_wise(pc.fill_null(lines, "null"), "\n", "")
    joined = value_buffer(ended).to_pybytes()
    try:
        values = _decoder.decode_lines(joined)
    except (msgspec.DecodeError, RecursionError):
        return False
    # One line could hold two values and another none, so the bytes are compared as well.
    return len(values) == len(lines) and b"\n".join(values) == joined[:-1]


def _is_json(text: str | None) -> bool:
    try:
        _decoder.decode(text or "")
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def words(texts: pa.StringArray) -> pa.StringArray:
    """JSON texts for full-text search: characters instead of escapes."""
    if b"\\" not in value_buffer(texts).to_pybytes():
        return texts
    mask = pc.fill_null(pc.match_substring(texts, "\\"), False)
    return pc.replace_with_mask(
        texts, mask, pa.array(map(_spoken, texts.filter(mask).to_pylist()), pa.utf8())
    )


def parts_of_names(text: str) -> str:
    """The parts of the compound names in a text: `line item` for `LineItem`, `tb order` for
    `tb_order`. The server's analyser keeps such a name as one word."""
    parted = (_PARTS.sub(" ", name).strip() for name in _WORD.findall(text))
    return " ".join(parts for parts in parted if " " in parts).lower()


def _spoken(text: str) -> str:
    """The text with `\\u00e9` as é, and escapes of what is no word as spaces."""
    try:
        text = _encoder.encode(msgspec.json.decode(text)).decode()
    except (msgspec.DecodeError, RecursionError):
        return text
    return _ESCAPE.sub(" ", text)
