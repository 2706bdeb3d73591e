# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The one decoder: messages in any of the four shapes, events in one schema.

JSON messages are decoded by one call over all of them, joined by newlines, and only when that fails
one by one, to find the culprits. `data` and `changes` are taken as the bytes they are. Arrow
messages never become Python objects. Every message gives events or exactly one reject.
"""

from collections.abc import Iterator
from itertools import groupby

import msgspec
import pyarrow as pa

from fraiseql_assets.events.arrow_shape import is_arrow, rows_of
from fraiseql_assets.events.columns import Unfit, to_batch
from fraiseql_assets.events.messages import Decoded, Messages, Reject
from fraiseql_assets.events.shapes import WireEvent, explain

_decoder = msgspec.json.Decoder(WireEvent)


def decode(messages: Messages) -> Decoded:
    """Turns messages into record batches of `EVENT_SCHEMA`, in stream order, and rejects.

    Nothing is raised for what a message holds: what cannot become an event is a reject with the
    reason, and leaves its neighbours untouched.
    """
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    for arrow, part in _by_kind(messages):
        found = _decode_arrow(part) if arrow else _decode_json(part)
        batches += found.batches
        rejects += found.rejects
    return Decoded(batches, rejects)


def _by_kind(messages: Messages) -> Iterator[tuple[bool, Messages]]:
    """Consecutive messages of one kind; JSON alone, the common case, without looking at each."""
    if not any(messages.headers):
        yield False, messages
        return
    for arrow, places in groupby(range(len(messages)), lambda n: is_arrow(messages.headers[n])):
        numbers = list(places)
        yield arrow, messages.slice(numbers[0], numbers[-1] + 1)


def _decode_arrow(messages: Messages) -> Decoded:
    batches: list[pa.RecordBatch] = []
    rejects: list[Reject] = []
    for number in range(len(messages)):
        try:
            batches += rows_of(messages, number)
        except Unfit as unfit:
            rejects.append(messages.reject(number, str(unfit)))
    return Decoded(batches, rejects)


def _decode_json(messages: Messages) -> Decoded:
    try:
        events = _decode_together(messages.payloads)
        return Decoded([to_batch(events, messages)] if events else [], [])
    except (msgspec.MsgspecError, UnicodeDecodeError, Unfit):
        return _decode_one_by_one(messages)


def _decode_together(payloads: list[bytes]) -> list[WireEvent]:
    """All messages in one call.

    A newline belongs to no JSON string, only to the space between tokens; where each message is one
    line, line and message are the same and no message can run into its neighbour.
    """
    joined = b"\n".join(payloads)
    if joined.count(b"\n") != len(payloads) - 1 or b"" in payloads:
        raise Unfit("not one line per message")
    # Raw values are not validated by the JSON decoder, and Arrow's text columns must be.
    joined.decode()
    events = _decoder.decode_lines(joined)
    if len(events) != len(payloads):
        raise Unfit("a message holds only spaces")
    return events


def _decode_one_by_one(messages: Messages) -> Decoded:
    good: list[int] = []
    events: list[WireEvent] = []
    rejects: list[Reject] = []
    for number, payload in enumerate(messages.payloads):
        try:
            payload.decode()
            event = _decoder.decode(payload)
            to_batch([event], messages.slice(number, number + 1))
        except (msgspec.MsgspecError, UnicodeDecodeError, Unfit) as error:
            rejects.append(messages.reject(number, explain(payload, error)))
        else:
            good.append(number)
            events.append(event)
    if not events:
        return Decoded([], rejects)
    return Decoded([to_batch(events, messages.take(good))], rejects)
