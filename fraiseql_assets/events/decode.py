# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The decoder: messages in any of the four shapes become events in one schema.

JSON messages are joined by newlines and decoded in one call. If that fails, each half is decoded
separately, down to the invalid messages. `data` and `changes` are copied as bytes. Arrow messages
never become Python objects. Every message gives events or exactly one reject.
"""

import struct
from collections.abc import Iterator
from itertools import groupby

import msgspec
import pyarrow as pa

from fraiseql_assets.events.arrow_shape import is_arrow, may_be_arrow, rows_of
from fraiseql_assets.events.columns import InvalidValues, to_batch
from fraiseql_assets.events.messages import Decoded, Messages
from fraiseql_assets.events.shapes import BYTE_ORDER_MARK, WireEvent, explain, of_its_shape

_decoder = msgspec.json.Decoder(WireEvent)


def decode(messages: Messages) -> Decoded:
    """Turns messages into record batches of `EVENT_SCHEMA`, in stream order, and rejects.

    The content of a message never raises an error. A message that cannot become an event is a
    reject with the reason, and does not affect other messages.
    """
    parts = list(decode_parts(messages))
    return Decoded(
        [batch for part in parts for batch in part.batches],
        [reject for part in parts for reject in part.rejects],
    )


def decode_parts(messages: Messages) -> Iterator[Decoded]:
    """Decodes in parts: consecutive JSON messages together, and each Arrow message by itself,
    because its events may take many times its size."""
    for arrow, part in _by_kind(messages):
        if arrow:
            yield from (_decode_arrow(part, number) for number in range(len(part)))
        else:
            yield _decode_json(part)


def _by_kind(messages: Messages) -> Iterator[tuple[bool, Messages]]:
    """Consecutive messages of one kind. If all are JSON, the usual case, messages are not inspected
    one by one."""
    if not may_be_arrow(messages.headers):
        if len(messages):
            yield False, messages
        return
    for arrow, group in groupby(range(len(messages)), lambda n: is_arrow(messages.headers[n])):
        numbers = list(group)
        yield arrow, messages.slice(numbers[0], numbers[-1] + 1)


def _decode_arrow(messages: Messages, number: int) -> Decoded:
    try:
        return Decoded(rows_of(messages, number), [])
    except InvalidValues as unfit:
        return Decoded([], [messages.reject(number, str(unfit))])


def _decode_json(messages: Messages) -> Decoded:
    found = _decode_halves(messages)
    if len(found.batches) < 2:
        return found
    return Decoded([pa.concat_batches(found.batches)], found.rejects)


def _decode_halves(messages: Messages) -> Decoded:
    """Decodes all messages together. If that fails, decodes each half, down to the invalid
    messages."""
    try:
        return Decoded([to_batch(_events_of(messages.payloads), messages)], [])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidValues) as error:
        if len(messages) == 1:
            return Decoded([], [messages.reject(0, explain(messages.payloads[0], error))])
    middle = len(messages) // 2
    first, second = (
        _decode_halves(messages.slice(0, middle)),
        _decode_halves(messages.slice(middle, len(messages))),
    )
    return Decoded(first.batches + second.batches, first.rejects + second.rejects)


def check_utf8(text: bytes) -> None:
    """Raises UnicodeDecodeError. Arrow checks twice as fast as Python, but does not say where."""
    offsets = pa.py_buffer(struct.pack("=qq", 0, len(text)))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(text)])
    try:
        whole.cast(pa.large_utf8())
    except pa.ArrowInvalid:
        text.decode()


def _events_of(payloads: list[bytes]) -> list[WireEvent]:
    """One event per payload, in one call if each payload is an object on one line."""
    joined = b"\n".join(payloads)
    # The JSON decoder does not validate raw values, but Arrow strings must be valid UTF-8.
    check_utf8(joined)
    if _are_apart(payloads):
        try:
            events = _decoder.decode_lines(joined)
        except msgspec.ValidationError:
            return [_event_of(payload) for payload in payloads]
        if len(events) == len(payloads):
            return events
    return [_event_of(payload) for payload in payloads]


def _event_of(payload: bytes) -> WireEvent:
    text = payload.removeprefix(BYTE_ORDER_MARK)
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        return _decoder.decode(of_its_shape(text))


def _are_apart(payloads: list[bytes]) -> bool:
    """Whether no JSON value can span two payloads. A value cannot continue after a closing brace
    with an opening one, and a string has no newline. If the number of values equals the number of
    payloads, each payload is one value.
    """
    return (
        len(payloads) > 1
        and {payload[:1] for payload in payloads} == {b"{"}
        and {payload[-1:] for payload in payloads} == {b"}"}
    )
