# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Finds events that were published twice: in a block, in the one before it, and in the table."""

import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.external import ExternalData

from fraiseql_assets.analytics.arrow_stream import stream_pieces
from fraiseql_assets.analytics.client import sql
from fraiseql_assets.planes import Block


def first_of_each_id(events: pa.Table) -> pa.Table:
    """The first event of each id in a block."""
    ids = events["event_id"]
    if pc.count_distinct(ids).as_py() == events.num_rows:
        return events
    positions = pa.table({"id": ids, "position": pa.array(range(events.num_rows), pa.int64())})
    firsts = positions.group_by("id", use_threads=False).aggregate([("position", "min")])[
        "position_min"
    ]
    return events.take(firsts.sort())


def without(events: pa.Table, ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The events whose ids are not among these."""
    known = pc.is_in(events["event_id"], value_set=ids)
    return events.filter(pc.invert(known)) if pc.any(known).as_py() else events


def known_elsewhere(client: Client, table: str, block: Block) -> pa.Array | None:
    """The ids of the block that the day already holds at another log position."""
    events = block.table
    first, last = 0, events.num_rows - 1
    found = client.query(
        sql("select_duplicates", table=table),
        parameters={
            "day": block.day,
            "first_seq": events["stream_seq"][first].as_py(),
            "first_row": events["stream_row"][first].as_py(),
            "last_seq": events["stream_seq"][last].as_py(),
            "last_row": events["stream_row"][last].as_py(),
        },
        external_data=incoming(events),
    ).result_columns
    return pa.array(found[0], pa.utf8()) if found and found[0] else None


def incoming(events: pa.Table) -> ExternalData:
    """The ids of the events as the external table `incoming` of a query."""
    return ExternalData(
        file_name="incoming",
        data=b"".join(stream_pieces(events.select(["event_id"]))),
        fmt="ArrowStream",
        structure=["event_id String"],
    )
