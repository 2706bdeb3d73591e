# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, so a type checker cannot see them)
"""Replays dead-letter messages after the cause has been fixed.

A message that could not be decoded is published again, and every plane of its dataset reads it. An
event that one plane refused is already in the log and in the dataset's other plane. It is written
only into the plane that refused it, with the position and day that the log assigned, as a rebuild
of that day would.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.datasets import Dataset, dataset_of
from fraiseql_assets.erasures import without_erased
from fraiseql_assets.pipeline.job import default_batching
from fraiseql_assets.planes import Block, LedgerEntry, Plane, PlaneOff
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.setup import open_planes
from fraiseql_assets.stream.connection import LogError, LogUnavailable, connect
from fraiseql_assets.stream.dead_letter_reader import DeadLetter, original_message
from fraiseql_assets.stream.dead_letters import DECODE
from fraiseql_assets.stream.position import utc_day
from fraiseql_assets.stream.republish import Failure, remove_dead_letter, republish

SOURCE = "dead letters"
TRIES = 20
WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay."""

    published: int
    """Messages published again. The planes ingest them like any other message."""
    written: int
    """Events written into the plane that had refused them, or found there."""
    failures: tuple[Failure, ...]
    """Messages that failed again. They stay in the dead-letter stream."""


def replay(settings: Settings, dead_letters: Sequence[DeadLetter]) -> Replayed:
    """Replays dead-letter messages and removes each one that succeeded.

    Each message takes effect once, even if a replay is repeated or interrupted.

    Raises:
        LogError, PlaneError: the log or a plane failed; the other messages stay stored.
    """
    undecoded = [each for each in dead_letters if each.stage == DECODE]
    refused = sorted(
        (each for each in dead_letters if each.stage != DECODE),
        key=lambda each: (each.stage, each.stream, each.sequence, each.row),
    )
    unpublished = asyncio.run(republish(settings, undecoded)) if undecoded else []
    unwritten = [
        failure
        for (stage, stream), of_plane in groupby(refused, key=lambda e: (e.stage, e.stream))
        for failure in _replay_into(settings, stage, stream, list(of_plane))
    ]
    return Replayed(
        published=len(undecoded) - len(unpublished),
        written=len(refused) - len(unwritten),
        failures=(*unpublished, *unwritten),
    )


def _replay_into(
    settings: Settings, stage: str, stream: str, dead_letters: list[DeadLetter]
) -> Iterator[Failure]:
    """Writes rows into the plane that refused them. Yields those that failed again."""
    dataset = dataset_of(stream, settings)
    planes = {plane.name: plane for plane in open_planes(settings, dataset)}
    if stage in dataset.planes and stage not in planes:
        raise PlaneOff(stage)
    if stage not in planes:
        for each in dead_letters:
            yield Failure(each.number, f"there is no plane {stage}")
        return
    with closing(planes[stage]) as plane:
        for _, group in groupby(dead_letters, key=lambda each: each.sequence):
            message = list(group)
            failures = _replay_message(settings, plane, message)
            failed = {failure.number for failure in failures}
            asyncio.run(_remove(settings, [e for e in message if e.number not in failed]))
            yield from failures


def _replay_message(
    settings: Settings, plane: Plane, dead_letters: list[DeadLetter]
) -> list[Failure]:
    """Writes the refused rows of one message. Returns those that failed again."""
    failures: list[Failure] = []
    rows: dict[int, pa.RecordBatch] = {}
    for dead_letter in dead_letters:
        try:
            rows[dead_letter.row] = _row(settings, plane.dataset, dead_letter)
        except LogUnavailable:
            raise
        except LogError as error:
            failures.append(Failure(dead_letter.number, str(error)))
    found = [each for each in dead_letters if each.row in rows]
    refused = _write(settings, plane, found, list(rows.values())) if found else {}
    return failures + [Failure(e.number, refused[e.row]) for e in found if e.row in refused]


async def _remove(settings: Settings, dead_letters: list[DeadLetter]) -> None:
    async with connect(settings, name="fraiseql-assets dead-letters") as client:
        for dead_letter in dead_letters:
            await remove_dead_letter(client.jetstream(timeout=10.0), settings, dead_letter)


def _write(
    settings: Settings, plane: Plane, dead_letters: list[DeadLetter], rows: list[pa.RecordBatch]
) -> dict[int, str]:
    """Writes rows of one message that are not erased. Returns the reason for each row that is
    refused again."""
    stream, sequence = dead_letters[0].stream, dead_letters[0].sequence
    erasures = plane.erasures(stream)
    kept = [without_erased(row, erasures) for row in rows]
    table = pa.Table.from_batches(kept, plane.dataset.schema)
    if not table.num_rows:
        return {}
    sequences, day = SequenceRange(sequence, sequence), utc_day(dead_letters[0].time)
    names = "\n".join(each.replay_id for each in dead_letters)
    token = f"{SOURCE}:{hashlib.sha256(names.encode()).hexdigest()}"
    written = plane.write(Block(table, stream, sequences, day, 0, token, replay=True))
    _settle(settings, plane, stream, sequences, day, written.rows)
    return {reject.row: reject.reason for reject in written.refused}


def _row(settings: Settings, dataset: Dataset, dead_letter: DeadLetter) -> pa.RecordBatch:
    """The one row of a dead-letter message, at its position in the log.

    Raises:
        LogError: the log no longer holds it, or it cannot be decoded.
    """
    message = original_message(settings, dead_letter)
    found = dataset.decode(message)
    for batch in found.batches:
        if not dead_letter.in_log:
            # The batch holds only this row, whatever its index in the message.
            return _at_row(batch, dead_letter.row)
        rows = batch.filter(pc.equal(batch["stream_row"], dead_letter.row))
        if rows.num_rows:
            return rows
    why = found.rejects[0].reason if found.rejects else "the message has no such row"
    raise LogError(f"it holds no {dataset.noun}: {why}")


def _at_row(batch: pa.RecordBatch, row: int) -> pa.RecordBatch:
    column = batch.schema.get_field_index("stream_row")
    return batch.set_column(column, batch.schema.field(column), pa.array([row], pa.uint32()))


def _settle(
    settings: Settings, plane: Plane, stream: str, sequences: SequenceRange, day: date, most: int
) -> None:
    """Adds the rows that a replay wrote to the ledger, in an entry for their message.

    The number of added rows is the number that the plane holds for the day beyond its ledger. The
    count is therefore also correct after an interrupted replay, or if a rebuild already added the
    rows.
    """
    for _ in range(TRIES):
        before = plane.ledger(stream, day)
        more = plane.count(day).rows - sum(e.rows for e in before if e.state == "committed")
        if 0 <= more <= most and before == plane.ledger(stream, day):
            break
        # An active run may have written rows to the day that it has not committed yet.
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
