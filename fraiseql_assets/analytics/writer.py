# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Writing blocks into ClickHouse, exactly once however often a block is written.

Two mechanisms make it so. A *retried block* carries the token of its first attempt, and table and
aggregates each drop what they already took under that token. An *event published twice* is found by
its id before the insert: whatever row of the day lies at another place of the log is a duplicate,
rows of the block's own place are not, so that a retry sends the very same rows.
"""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from fraiseql_assets.analytics.client import sql
from fraiseql_assets.planes import Block, PlaneError, Written

INSERT_SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # One block in, one part out: what a token stands for must not depend on threads or squashing.
    "max_insert_threads": 1,
    "parallel_view_processing": 0,
    "materialized_views_ignore_errors": 0,
}


def write_live_block(client: Client, table: str, block: Block) -> Written:
    """Inserts a block's events that the live day does not hold yet.

    A replaced day still knows the tokens of the day before it, and would take rows that went with
    that one for written: a token is valid for one replacement of the day.

    Raises:
        PlaneError: the day was replaced meanwhile, by one that holds the block's range.
    """
    [(replaced_at, covering)] = client.query(
        sql("select_replacement"),
        parameters={
            "stream": block.token.rsplit(":", 3)[0],
            "day": block.day,
            "first": block.range.first,
            "last": block.range.last,
        },
    ).result_rows
    if covering:
        raise PlaneError(
            f"the day {block.day} was replaced by one that holds {block.range} already. "
            "Ask for the range again."
        )
    if replaced_at:
        block = replace(block, token=f"{block.token}:{replaced_at}")
    return write_block(client, table, block)


def write_block(client: Client, table: str, block: Block) -> Written:
    """Inserts a block's events that the table does not hold of the day yet.

    The call returns when the rows are committed, in the table and in the aggregates it feeds.
    """
    events = _first_of_each_id(block.table)
    known = _known_elsewhere(client, table, block)
    if known is not None:
        events = events.filter(pc.invert(pc.is_in(events["event_id"], value_set=known)))
    if events.num_rows:
        client.raw_insert(
            table,
            column_names=events.column_names,
            insert_block=_stream(events),
            fmt="ArrowStream",
            settings={**INSERT_SETTINGS, "insert_deduplication_token": block.token},
        )
    return Written(events.num_rows, block.table.num_rows - events.num_rows, refused=[])


def _first_of_each_id(events: pa.Table) -> pa.Table:
    """The events without those whose id came before in the same block."""
    ids = events["event_id"]
    if pc.count_distinct(ids).as_py() == events.num_rows:
        return events
    places = pa.table({"id": ids, "place": pa.array(range(events.num_rows), pa.int64())})
    firsts = places.group_by("id", use_threads=False).aggregate([("place", "min")])["place_min"]
    return events.take(firsts.sort())


def _known_elsewhere(client: Client, table: str, block: Block) -> pa.Array | None:
    """The ids of the block that the day already holds from another place of the log."""
    events = block.table
    ids = pa.table({"event_id": events["event_id"]})
    first, last = 0, events.num_rows - 1
    incoming = ExternalData(
        file_name="incoming",
        data=_stream(ids),
        fmt="ArrowStream",
        structure=["event_id String"],
    )
    found = client.query(
        sql("select_duplicates", table=table),
        parameters={
            "day": block.day,
            "first_seq": events["stream_seq"][first].as_py(),
            "first_row": events["stream_row"][first].as_py(),
            "last_seq": events["stream_seq"][last].as_py(),
            "last_row": events["stream_row"][last].as_py(),
        },
        external_data=incoming,
    ).result_columns
    return pa.array(found[0], pa.utf8()) if found and found[0] else None


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
