# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Replaying dead-letter messages, once the cause is fixed.

What was no event is published again, and both planes read it. What one plane refused is in the log
and in the other plane already: it is written into the refusing plane alone, at the position and
under the day that the log gave it, as a rebuild of that day would.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.events.decode import decode
from fraiseql_assets.events.schema import EVENT_SCHEMA
from fraiseql_assets.pipeline.job import default_batching
from fraiseql_assets.planes import Block, LedgerEntry, Plane
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.dead_letter_reader import DeadLetter, original_message
from fraiseql_assets.stream.dead_letters import DECODE
from fraiseql_assets.stream.position import utc_day
from fraiseql_assets.stream.republish import remove_dead_letters, republish

SOURCE = "dead letters"
TRIES = 20
WAIT_SECONDS = 0.5


@dataclass(slots=True)
class Replayed:
    """What became of the dead-letter messages."""

    published: int = 0
    """Published again: the planes take them as they take any message."""
    written: int = 0
    """Written into the plane that had refused them, or found there."""
    refused: tuple[str, ...] = ()
    """Refused again, each with the reason; these messages stay."""


def replay(settings: Settings, dead_letters: Sequence[DeadLetter]) -> Replayed:
    """Replays dead-letter messages and removes them, each once however often this is repeated.

    Raises:
        LogError, PlaneError: the log or a plane failed; what was not replayed stays where it is.
    """
    replayed = Replayed()
    undecoded = [dead_letter for dead_letter in dead_letters if dead_letter.stage == DECODE]
    if undecoded:
        asyncio.run(republish(settings, undecoded))
        replayed.published = len(undecoded)
    refused = sorted(
        (dead_letter for dead_letter in dead_letters if dead_letter.stage != DECODE),
        key=lambda dead_letter: (
            dead_letter.stage,
            dead_letter.stream,
            dead_letter.sequence,
            dead_letter.row,
        ),
    )
    for stage, of_plane in groupby(refused, key=lambda dead_letter: dead_letter.stage):
        _replay_into(settings, stage, list(of_plane), replayed)
    return replayed


def _replay_into(
    settings: Settings, stage: str, dead_letters: list[DeadLetter], replayed: Replayed
) -> None:
    planes = {plane.name: plane for plane in open_planes(settings)}
    if stage not in planes:
        raise LogError(f"the dead-letter messages of {stage} belong to no known plane")
    with closing(planes[stage]) as plane:
        for (stream, sequence), group in groupby(
            dead_letters, key=lambda e: (e.stream, e.sequence)
        ):
            rows = list(group)
            refused = _write(settings, plane, stream, sequence, rows)
            replayed.refused += tuple(refused.values())
            done = [dead_letter for dead_letter in rows if dead_letter.row not in refused]
            replayed.written += len(done)
            asyncio.run(_remove(settings, done))


async def _remove(settings: Settings, dead_letters: list[DeadLetter]) -> None:
    async with connect(settings, name="fraiseql-assets dead-letters") as client:
        await remove_dead_letters(client, settings, dead_letters)


def _write(
    settings: Settings, plane: Plane, stream: str, sequence: int, dead_letters: list[DeadLetter]
) -> dict[int, str]:
    """Writes the rows of one message. Returns the reasons of those refused again, by row."""
    table = pa.Table.from_batches(
        [_event(settings, dead_letter) for dead_letter in dead_letters], EVENT_SCHEMA
    )
    sequences, day = SequenceRange(sequence, sequence), utc_day(dead_letters[0].time)
    names = "\n".join(dead_letter.replay_id for dead_letter in dead_letters)
    token = f"{SOURCE}:{hashlib.sha256(names.encode()).hexdigest()}"
    written = plane.write(Block(table, stream, sequences, day, 0, token, replay=True))
    _settle(settings, plane, stream, sequences, day, written.rows)
    return {reject.row: reject.reason for reject in written.refused}


def _event(settings: Settings, dead_letter: DeadLetter) -> pa.RecordBatch:
    """The one event of a dead-letter message, at its position in the log."""
    message = original_message(settings, dead_letter)
    found = decode(message)
    for batch in found.batches:
        if not dead_letter.in_log:
            # It holds the event alone, whichever row of its message it was.
            return _at_row(batch, dead_letter.row)
        rows = batch.filter(pc.equal(batch["stream_row"], dead_letter.row))
        if rows.num_rows:
            return rows
    why = found.rejects[0].reason if found.rejects else "the message has no such row"
    raise LogError(f"dead-letter message {dead_letter.number} holds no event: {why}")


def _at_row(batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
    column = EVENT_SCHEMA.get_field_index("stream_row")
    return batch.set_column(column, EVENT_SCHEMA.field(column), pa.array([row], pa.uint32()))


def _settle(
    settings: Settings, plane: Plane, stream: str, sequences: SequenceRange, day: date, most: int
) -> None:
    """Counts the rows that a replay added into the ledger, under an entry of their own message.

    How many were added is what the plane holds of the day beyond what its ledger knows: so a replay
    that broke off in between, or one whose rows a rebuild brought already, counts right too.
    """
    for _ in range(TRIES):
        before = plane.ledger(stream, day)
        more = plane.count(day).rows - sum(e.rows for e in before if e.state == "committed")
        if 0 <= more <= most and before == plane.ledger(stream, day):
            break
        # A run that is writing to the day has rows there that it has not committed yet.
        time.sleep(WAIT_SECONDS)
    else:
        return
    if not more:
        return
    now = datetime.now(UTC)
    entry = next((e for e in before if e.range == sequences), None) or LedgerEntry(
        stream=stream,
        range=sequences,
        day=day,
        state="committed",
        batching=default_batching(settings),
        attempt=1,
        run_id=SOURCE,
        at=now,
        source=SOURCE,
    )
    plane.record(replace(entry, at=now, rows=entry.rows + more))
