# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Texts of Arrow columns as JSON strings, whole columns at a time."""

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_encoder = msgspec.json.Encoder()


def escaped(texts: pa.StringArray) -> pa.StringArray:
    """The texts as they stand between the quotes of a JSON string; null where they are null."""
    values = value_buffer(texts)
    if _lowest(values) < 0x20:
        # Control characters are rare and have each their own escape.
        lines = _encoder.encode_lines(texts.to_pylist()).split(b"\n")[:-1]
        quoted = pa.array(lines, pa.binary()).cast(pa.utf8())
        inside = pc.utf8_slice_codeunits(quoted, 1, -1)
        return pc.if_else(texts.is_valid(), inside, pa.scalar(None, pa.utf8()))
    every = values.to_pybytes()
    if b"\\" in every:
        texts = pc.replace_substring(texts, "\\", "\\\\")
    if b'"' in every:
        texts = pc.replace_substring(texts, '"', '\\"')
    return texts


def _lowest(values: pa.Buffer) -> int:
    """The lowest of the bytes."""
    if not values.size:
        return 0xFF
    return pc.min(pa.Array.from_buffers(pa.uint8(), values.size, [None, values])).as_py()


def value_buffer(texts: pa.StringArray) -> pa.Buffer:
    """The bytes of all the texts, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return pa.py_buffer(b"")
    ends = memoryview(offsets).cast("i")
    first, last = ends[texts.offset], ends[texts.offset + len(texts)]
    return data.slice(first, last - first)
