"""Finds the events that a bridge published before it ended without saving its position."""

import asyncio

from fraiseql_assets.bridge.position import Position
from fraiseql_assets.bridge.rows import BRIDGE
from fraiseql_assets.events.messages import message_id, parse_headers
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.reader import read_range


async def published_since(position: Position, last: int, settings: Settings) -> set[str]:
    """The ids of the events that this bridge has published since a position was saved.

    `last` is the last sequence of the log. A bridge saves its position after every page of rows, so
    these are the events of one page. Messages of other publishers may lie between them.

    Raises:
        LogError: the log cannot be read.
    """
    # A log that ends before the position was recreated, and is read completely.
    first = position.stream_seq + 1 if position.stream_seq <= last else 1
    if first > last:
        return set()
    return await asyncio.to_thread(_ids, SequenceRange(first, last), settings)


def _ids(sequences: SequenceRange, settings: Settings) -> set[str]:
    batches = read_range(
        settings,
        settings.stream,
        sequences,
        batch_messages=settings.batch_rows,
        batch_bytes=settings.batch_bytes,
    )
    mark = BRIDGE.encode()
    found = (
        message_id(headers)
        for batch in batches
        for headers in batch.headers
        # Only messages of bridges have the header, so few are parsed.
        if mark in headers and parse_headers(headers).get(BRIDGE) == settings.bridge_name
    )
    return {name for name in found if name}
