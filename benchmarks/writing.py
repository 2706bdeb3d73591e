"""N17, first half: a million events by DoPut, against publishing the same batches straight to NATS.

Both sides send the same batches of 10,000 rows, wait for every acknowledgement, and publish the
same Arrow messages. The service runs in a process of its own; the other side encodes and publishes
in this one. Each round has new event ids: NATS would not store the messages of an earlier one
again.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from harness import QUICK, ROUNDS, Comparison, alternate, rate, report
from logs import embedded, events, settings_of
from processes import Service, flight_service
from pyarrow import flight

from fraiseql_assets.events.encode import arrow_messages
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish
from fraiseql_assets.stream.setup import setup_streams

GOAL = 0.5
ROWS = 50_000 if QUICK else 1_000_000


class Batches:
    """The same batches in every round, but for the prefix of their ids."""

    def __init__(self) -> None:
        self._made = list(events(ROWS))
        self._rounds = 0

    def next(self) -> Sequence[pa.RecordBatch]:
        """The batches of a round."""
        self._rounds += 1
        prefix = f"{self._rounds}-"
        return [
            batch.set_column(0, batch.schema.field(0), _prefixed(prefix, batch.column(0)))
            for batch in self._made
        ]


def _prefixed(prefix: str, ids: pa.Array) -> pa.Array:
    from pyarrow import compute

    join = compute.binary_join_element_wise  # pyright: ignore[reportAttributeAccessIssue]
    return join(prefix, ids, "")


def put(client: flight.FlightClient, service: Service, batches: Sequence[pa.RecordBatch]) -> int:
    """Sends the batches by DoPut and waits for the last receipt. Returns the rows stored."""
    descriptor = flight.FlightDescriptor.for_path("events")
    writer, reader = client.do_put(descriptor, batches[0].schema, service.options)
    for batch in batches:
        writer.write_batch(batch)
    writer.done_writing()
    total: dict[str, int] = {}
    while (answer := reader.read()) is not None:
        total = json.loads(answer.to_pybytes())
    writer.close()
    assert total["duplicates"] == 0
    return total["rows"]


async def straight(settings: Settings, batches: Sequence[pa.RecordBatch]) -> int:
    """Publishes the batches and waits for every acknowledgement. Returns the rows stored."""
    subject = f"{settings.subject_prefix}.Batch.ARROW"
    async with connect(settings, name="benchmark", reconnect_seconds=10) as client:
        messages = (
            message
            for batch in batches
            for message in arrow_messages(batch, subject, max_payload=client.max_payload)
        )
        return (await publish(client, messages)).events


def n17(settings: Settings, service: Service, rounds: int) -> Comparison:
    made = Batches()

    def by_put(client: flight.FlightClient) -> float:
        batches = made.next()
        return rate(lambda: put(client, service, batches))

    def by_publishing() -> float:
        batches = made.next()
        return rate(lambda: asyncio.run(straight(settings, batches)))

    with service.connect() as client:
        sides, load = alternate(
            {"DoPut": lambda: by_put(client), "straight to NATS": by_publishing},
            unit="events/s",
            rounds=rounds,
        )
    value = sides[0].median / sides[1].median
    measure = f"DoPut of {ROWS:,} events, against publishing the same batches straight to NATS"
    return Comparison("N17", measure, f"≥ {GOAL:.2f}", value, value >= GOAL, sides, load)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="N17: events by DoPut.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder), "nats") as [nats]:
        settings = settings_of("writing", nats_url=nats.address)
        asyncio.run(setup_streams(settings))
        environment = {
            "FRAISEQL_NATS_URL": nats.address,
            "FRAISEQL_STREAM": settings.stream,
            "FRAISEQL_SUBJECTS": json.dumps(settings.subjects),
            "FRAISEQL_SUBJECT_PREFIX": settings.subject_prefix,
            "FRAISEQL_WRITABLE": '["events"]',
        }
        with flight_service(Path(folder), environment) as service:
            report("writing", [n17(settings, service, rounds)])
