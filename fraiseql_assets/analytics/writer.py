"""Writes blocks into ClickHouse exactly once, however often a block is written.

Two mechanisms ensure this. A *retried block* carries the token of its first attempt, and the table
and each aggregate drop what they already received under that token. An *event published twice* is
found by its id before the insert: a row of the day at another log position is a duplicate. A row at
the block's own positions is not, so that a retry sends exactly the same rows.
"""

from dataclasses import replace

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from fraiseql_assets.analytics.arrow_stream import stream_pieces
from fraiseql_assets.analytics.client import sql
from fraiseql_assets.analytics.duplicates import (
    first_of_each_id,
    incoming,
    known_elsewhere,
    without,
)
from fraiseql_assets.planes import Block, PlaneError, Written

POSITION = ("event_id", "stream_seq", "stream_row")

INSERT_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # A block becomes one part: its content must not depend on threads or squashing.
    "max_insert_threads": 1,
    "parallel_view_processing": 0,
    "materialized_views_ignore_errors": 0,
}


def write_live_block(
    client: Client, table: str, block: Block, before: Block | None = None
) -> Written:
    """Inserts a block's events that the live day does not hold yet.

    After a replacement, ClickHouse still knows the tokens of the day's earlier blocks. It would
    drop retried rows that were removed with the old partition, so each replacement of a day
    changes the tokens.

    `before` is the range's previous block, if that may not be inserted yet.

    Raises:
        PlaneError: the day has been replaced, and the replacement covers the block's range.
    """
    [(replaced_at, covering)] = client.query(
        sql("select_replacement"),
        parameters={
            "stream": block.stream,
            "day": block.day,
            "first": block.range.first,
            "last": block.range.last,
        },
    ).result_rows
    if block.replay:
        return _write_missing(client, table, block)
    if covering:
        raise PlaneError(
            f"the day {block.day} was replaced by one that holds {block.range} already. "
            "Ask for the range again."
        )
    if replaced_at:
        block = replace(block, token=f"{block.token}:{replaced_at}")
    return write_block(client, table, block, before)


def _write_missing(client: Client, table: str, block: Block) -> Written:
    """Inserts the events of a replayed block whose ids the day does not hold at any position."""
    events = first_of_each_id(block.table)
    found = client.query(
        sql("select_held", table=table),
        parameters={"day": block.day},
        external_data=incoming(events),
    ).result_rows
    held, positions = {row[0] for row in found}, {tuple(row) for row in found}
    rows = zip(*(events[name].to_pylist() for name in POSITION), strict=True)
    already = sum(row in positions for row in rows)
    new = events.filter(pa.array([each not in held for each in events["event_id"].to_pylist()]))
    if new.num_rows:
        _insert(client, table, new, block.token)
    written = new.num_rows + already
    return Written(written, block.table.num_rows - written, refused=[])


def write_block(client: Client, table: str, block: Block, before: Block | None = None) -> Written:
    """Inserts a block's events that the table does not hold for the day yet.

    `before` is the range's previous block, if that may not be inserted yet: an event that it has
    too is left out. The call returns when the rows are committed, in the table and in the
    aggregates it feeds.
    """
    events = first_of_each_id(block.table)
    if before is not None:
        events = without(events, before.table["event_id"])
    known = known_elsewhere(client, table, block)
    if known is not None:
        events = without(events, known)
    if events.num_rows:
        _insert(client, table, events, block.token)
    return Written(events.num_rows, block.table.num_rows - events.num_rows, refused=[])


def _insert(client: Client, table: str, events: pa.Table, token: str) -> None:
    pieces = stream_pieces(events)
    client.raw_insert(
        table,
        column_names=events.column_names,
        # The client sends any iterable of pieces, which its annotations do not say.
        insert_block=pieces,  # pyright: ignore[reportArgumentType]
        fmt="ArrowStream",
        settings={**INSERT_SETTINGS, "insert_deduplication_token": token},
        # Without a length the client would send chunks, which copies every piece.
        transport_settings={"Content-Length": str(sum(map(len, pieces)))},
    )
