"""A table in memory: a million rows of mixed column types."""

from datetime import date, timedelta

import pyarrow as pa

ROWS = 1_000_000
DAYS = tuple(date(2026, 1, 1) + timedelta(days=number) for number in range(4))
"""The partitions of an asset, each with these rows."""
BATCH_ROWS = 16_384


def batches() -> list[pa.RecordBatch]:
    """The table, in the batches that both servers send."""
    numbers = pa.array(range(ROWS), pa.int64())
    texts = numbers.cast(pa.string())
    table = pa.table(
        {
            "id": numbers,
            "seen": numbers.cast(pa.timestamp("us", "UTC")),
            "price": numbers.cast(pa.float64()),
            "amount": numbers,
            "count": numbers.cast(pa.int32()),
            "late": pa.array([n % 3 == 0 for n in range(ROWS)]),
            "name": texts,
            "kind": pa.array([("AIR", "MAIL", "RAIL", "SHIP")[n % 4] for n in range(ROWS)]),
        }
    )
    return table.to_batches(max_chunksize=BATCH_ROWS)
