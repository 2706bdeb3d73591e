# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Escapes string columns of Arrow for JSON, a whole column at a time."""

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_encoder = msgspec.json.Encoder()


def escaped(texts: pa.StringArray) -> pa.StringArray:
    """The texts escaped for use between the quotes of a JSON string. Nulls stay null."""
    values = value_buffer(texts)
    if _lowest(values) < 0x20:
        # Control characters are rare, and each has its own escape.
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
    """The lowest byte of a buffer."""
    if not values.size:
        return 0xFF
    return pc.min(pa.Array.from_buffers(pa.uint8(), values.size, [None, values])).as_py()


def value_buffer(texts: pa.StringArray) -> pa.Buffer:
    """The concatenated bytes of all texts."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return pa.py_buffer(b"")
    ends = memoryview(offsets).cast("i")
    first, last = ends[texts.offset], ends[texts.offset + len(texts)]
    return data.slice(first, last - first)
