# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The one decoder: messages in any of the four shapes, events in one schema.

JSON messages are decoded by one call over all of them, joined by newlines. Only when that fails are
they decoded half by half, to find the messages at fault. `data` and `changes` are copied as bytes.
Arrow messages never become Python objects. Every message gives events or exactly one reject.
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

    Nothing is raised for what a message holds: what cannot become an event is a reject with the
    reason, and leaves its neighbours untouched.
    """
    parts = list(decode_parts(messages))
    return Decoded(
        [batch for part in parts for batch in part.batches],
        [reject for part in parts for reject in part.rejects],
    )


def decode_parts(messages: Messages) -> Iterator[Decoded]:
    """The same in parts: consecutive JSON messages together, and each Arrow message alone, because
    its events may take many times its bytes."""
    for arrow, part in _by_kind(messages):
        if arrow:
            yield from (_decode_arrow(part, number) for number in range(len(part)))
        else:
            yield _decode_json(part)


def _by_kind(messages: Messages) -> Iterator[tuple[bool, Messages]]:
    """Consecutive messages of one kind; JSON alone, the common case, without looking at each."""
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
    """All messages together. Where that fails, each half, down to the messages at fault."""
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
    """One event per payload, in one call where each is an object on a line of its own."""
    joined = b"\n".join(payloads)
    # Raw values are not validated by the JSON decoder, and Arrow's text columns must be.
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
    """Whether no value can reach from one payload into the next.

    After a closing brace none goes on with an opening one, and no string holds a newline: as many
    values as payloads are then one in each.
    """
    return (
        len(payloads) > 1
        and {payload[:1] for payload in payloads} == {b"{"}
        and {payload[-1:] for payload in payloads} == {b"}"}
    )
