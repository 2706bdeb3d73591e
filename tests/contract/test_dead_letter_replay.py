"""An event that a plane refused is replayed into that plane alone, once."""

import asyncio
import time
from collections.abc import Callable

from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.messages import Messages, Reject
from fraiseql_assets.pipeline.dead_letter_replay import replay
from fraiseql_assets.pipeline.ingest import Report
from fraiseql_assets.planes import Batching, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.dead_letter_reader import read_dead_letters
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated

Materialise = Callable[..., Report]


def stored(log: Log, sequence: int) -> Messages:
    [messages] = log.read(SequenceRange(sequence, sequence), Batching(1, 1, 1, 1), ahead=1)
    return messages


def test_a_replayed_event_is_written_to_its_plane_once(
    plane: Plane, other: Plane, log: Log, ingest: Materialise, settings: Settings
) -> None:
    asyncio.run(publish_generated(settings, count=3, shape="observer", seed=1))
    ingest(plane, 1, 2)
    assert log.store_dead_letters(plane.name, [stored(log, 3).reject(0, "refused")]) == 1
    [dead_letter] = read_dead_letters(settings)
    assert replay(settings, [dead_letter]).written == 1
    assert log.count_dead_letters() == 0
    again = replay(settings, [dead_letter])
    assert (again.written, again.failures) == (1, ())
    position = log.position_from(3)
    assert position is not None
    counts = plane.count(position.day)
    assert (counts.rows, counts.distinct_ids) == (3, 3)
    assert sum(entry.rows for entry in plane.ledger(log.stream)) == 3
    assert other.count(position.day).rows == 0
    found = [row for batch in plane.events(position.day, 3) for row in batch.to_pylist()]
    [event] = decode(stored(log, 3)).batches[0].to_pylist()
    assert event in found


def test_an_event_that_cannot_be_replayed_is_listed_and_blocks_no_other(
    plane: Plane, log: Log, settings: Settings
) -> None:
    asyncio.run(publish_generated(settings, count=1, shape="observer", seed=1))
    good = stored(log, 1)
    now = time.time_ns()
    log.store_dead_letters(plane.name, [Reject(2, now, "s", None, b"[]", "refused")])
    log.store_dead_letters(plane.name, [good.reject(0, "refused")])
    log.store_dead_letters("archive", [good.reject(0, "refused")])
    replayed = replay(settings, list(read_dead_letters(settings)))
    assert replayed.written == 1
    assert {failure.number: failure.reason for failure in replayed.failures} == {
        1: "it holds no event: a JSON array instead of an object",
        3: "there is no plane archive",
    }
    assert [each.number for each in read_dead_letters(settings)] == [1, 3]
