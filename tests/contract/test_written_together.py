"""Writing the blocks of a range together: each event once, whichever block is written first."""

from event_tables import DAY, block, event

from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.analytics.setup import EVENTS_TABLE
from fraiseql_assets.analytics.writer import write_live_block
from fraiseql_assets.planes import Plane, Written
from fraiseql_assets.settings import Settings

ROWS = 50
BLOCKS = [
    # The first events of a block are the last of the block before it, published again.
    block(
        [
            event(first + row, event_id=f"e-{first + row - (10 if row < 10 else 0)}")
            for row in range(ROWS)
        ],
        number=number,
    )
    for number, first in enumerate(range(ROWS, 7 * ROWS, ROWS))
]
RESULTS = [Written(ROWS, 0, []), *[Written(ROWS - 10, 10, [])] * (len(BLOCKS) - 1)]


def test_an_event_repeated_in_the_next_block_is_stored_once(plane: Plane) -> None:
    results = list(plane.write_all(BLOCKS))
    assert sum(written.rows for written in results) == plane.count(DAY).rows
    assert plane.count(DAY).distinct_ids == plane.count(DAY).rows


def test_retried_blocks_have_the_same_counts(plane: Plane) -> None:
    first = list(plane.write_all(BLOCKS))
    assert list(plane.write_all(BLOCKS)) == first
    assert [plane.write(each) for each in BLOCKS] == first


def test_a_replacement_accepts_overlapping_blocks(plane: Plane) -> None:
    replacement = plane.replace(DAY)
    rows = sum(written.rows for written in replacement.write_all(BLOCKS))
    assert replacement.count() == rows
    replacement.abandon()


def test_blocks_written_out_of_order_have_the_same_rows(
    settings: Settings,
) -> None:
    """As after a crash while two blocks were in flight, of which the second arrived."""
    plane = AnalyticsPlane(settings)
    plane.setup()
    client = connect(settings, timeout=10)
    before, second = BLOCKS[:2]
    assert write_live_block(client, EVENTS_TABLE, second, before) == Written(ROWS - 10, 10, [])
    assert list(plane.write_all(BLOCKS[:2])) == RESULTS[:2]
    assert plane.count(DAY).rows == plane.count(DAY).distinct_ids == 2 * ROWS - 10
    client.close()
    plane.close()
