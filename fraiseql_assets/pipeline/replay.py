# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Replaying dead letters, once what kept them out is mended.

What was no event is published again and both planes read it. What one plane refused is in the log
and in the other plane already: it is written into the refusing plane alone, at the place and under
the day that the log gave it, as a rebuild of that day would.
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
from fraiseql_assets.pipeline.ingest import default_batching
from fraiseql_assets.planes import Block, LedgerEntry, Plane, PlaneOff
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import PLANES, open_planes
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.dead_letters import DECODE
from fraiseql_assets.stream.letters import Letter, publish_again, take_back, whole
from fraiseql_assets.stream.position import utc_day

SOURCE = "dead letters"
TRIES = 20
WAIT_SECONDS = 0.5


@dataclass(slots=True)
class Replayed:
    """What became of the letters."""

    published: int = 0
    """Published again: the planes take them as they take any message."""
    written: int = 0
    """Written into the plane that had refused them, or found there."""
    refused: tuple[str, ...] = ()
    """Refused again, each with the reason; these letters stay."""


def replay(settings: Settings, letters: Sequence[Letter]) -> Replayed:
    """Replays letters and takes them back; exact however often it is repeated or breaks off.

    Raises:
        LogError, PlaneError: the log or a plane failed; what was not replayed stays a letter.
    """
    replayed = Replayed()
    undecoded = [letter for letter in letters if letter.stage == DECODE]
    if undecoded:
        asyncio.run(publish_again(settings, undecoded))
        replayed.published = len(undecoded)
    refused = sorted(
        (letter for letter in letters if letter.stage != DECODE),
        key=lambda letter: (letter.stage, letter.stream, letter.sequence, letter.row),
    )
    for stage, of_plane in groupby(refused, key=lambda letter: letter.stage):
        _replay_into(settings, stage, list(of_plane), replayed)
    return replayed


def _replay_into(settings: Settings, stage: str, letters: list[Letter], replayed: Replayed) -> None:
    planes = {plane.name: plane for plane in open_planes(settings)}
    if stage in PLANES and stage not in planes:
        raise PlaneOff(stage)
    if stage not in planes:
        raise LogError(f"the dead letters of {stage} are of no plane that there is")
    with closing(planes[stage]) as plane:
        for (stream, sequence), group in groupby(letters, key=lambda e: (e.stream, e.sequence)):
            rows = list(group)
            refused = _write(settings, plane, stream, sequence, rows)
            replayed.refused += tuple(refused.values())
            done = [letter for letter in rows if letter.row not in refused]
            replayed.written += len(done)
            asyncio.run(_forget(settings, done))


async def _forget(settings: Settings, letters: list[Letter]) -> None:
    async with connect(settings, name="fraiseql-assets dead-letters") as client:
        await take_back(client, settings, letters)


def _write(
    settings: Settings, plane: Plane, stream: str, sequence: int, letters: list[Letter]
) -> dict[int, str]:
    """Writes the rows of one message. Returns the reasons of those refused again, by row."""
    table = pa.Table.from_batches([_event(settings, letter) for letter in letters], EVENT_SCHEMA)
    sequences, day = SequenceRange(sequence, sequence), utc_day(letters[0].time)
    names = "\n".join(letter.replay_id for letter in letters)
    token = f"{SOURCE}:{hashlib.sha256(names.encode()).hexdigest()}"
    written = plane.write(Block(table, sequences, day, 0, token))
    _settle(settings, plane, stream, sequences, day, written.rows)
    return {reject.row: reject.reason for reject in written.refused}


def _event(settings: Settings, letter: Letter) -> pa.RecordBatch:
    """The one event of a letter, at its place in the log."""
    message = whole(settings, letter)
    found = decode(message)
    for batch in found.batches:
        if not letter.in_log:
            # The letter holds the event alone, whichever row of its message it was.
            return _at_row(batch, letter.row)
        rows = batch.filter(pc.equal(batch["stream_row"], letter.row))
        if rows.num_rows:
            return rows
    why = found.rejects[0].reason if found.rejects else "the message has no such row"
    raise LogError(f"dead letter {letter.number} holds no event: {why}")


def _at_row(batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
    place = EVENT_SCHEMA.get_field_index("stream_row")
    return batch.set_column(place, EVENT_SCHEMA.field(place), pa.array([row], pa.uint32()))


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
