# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Embedded servers for a benchmark, and logs filled with many events."""

import asyncio
import random
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
from harness import working
from pydantic import SecretStr

from fraiseql_assets.events.encode import Outgoing, arrow_messages, observer_messages
from fraiseql_assets.events.generate import BATCH_ROWS, generate
from fraiseql_assets.events.messages import header_block
from fraiseql_assets.events.schema import EVENT_SCHEMA, TIMESTAMP
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect, options_of
from fraiseql_assets.stream.publish import publish
from fraiseql_assets.stream.setup import setup_streams
from fraiseql_assets.stream.wire import Wire
from local_stack import servers
from local_stack.ports import distinct_free_ports
from local_stack.programs import start

IN_FLIGHT = 1_000
"""The number of messages that may wait for an acknowledgement."""
ID_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running embedded server."""

    address: str
    process: psutil.Process


@contextmanager
def embedded(folder: Path, *names: str) -> Iterator[list[Embedded]]:
    """Starts embedded servers, such as `clickhouse`, for the duration of the block."""
    with ExitStack() as stack:
        found: list[Embedded] = []
        for name, port in zip(names, distinct_free_ports(len(names)), strict=True):
            program = getattr(servers, name)(folder / name, port)
            process = start(program, folder / f"{name}.log")
            stack.callback(process.wait, 30)
            stack.callback(process.send_signal, program.ends_by)
            while not program.is_ready():
                time.sleep(0.05)
            [address] = program.addresses.values()
            found.append(Embedded(address, psutil.Process(process.pid)))
        yield found


def settings_of(name: str, **addresses: str) -> Settings:
    """Settings for a stream with this name, so that several streams can share a server."""
    settings = Settings(
        stream=name,
        subjects=[f"{name}.>"],
        subject_prefix=f"{name}.mutation",
        dead_letter_stream=f"{name}_dead_letters",
    )
    return settings.model_copy(update={url: SecretStr(at) for url, at in addresses.items()})


def fill(
    settings: Settings, shape: str, count: int, batches: Iterable[pa.RecordBatch] | None = None
) -> None:
    """Creates the stream and publishes events in a shape, `arrow` or `observer`: those of
    `batches`, by default those of `events`."""
    with working(f"publishing {count:,} events as {shape}"):
        asyncio.run(setup_streams(settings))
        made = events(count) if batches is None else batches
        if shape == "arrow":
            asyncio.run(_publish_arrow(settings, made))
        else:
            _publish_observer(settings, made)


async def _publish_arrow(settings: Settings, batches: Iterable[pa.RecordBatch]) -> None:
    subject = f"{settings.subject_prefix}.Batch.ARROW"
    async with connect(settings, name="benchmark", reconnect_seconds=10) as client:
        messages = (
            message
            for batch in batches
            for message in arrow_messages(batch, subject, max_payload=client.max_payload)
        )
        await publish(client, messages)


def events(count: int) -> Iterator[pa.RecordBatch]:
    """Generated events. They repeat the generator's first batch with new ids."""
    [pattern] = generate(BATCH_ROWS, seed=1)
    chance = random.Random(2)
    for first in range(0, count, BATCH_ROWS):
        batch = pattern.slice(0, min(BATCH_ROWS, count - first))
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns["event_id"] = _ids(chance, batch.num_rows)
        columns["seq"] = pc.add(columns["seq"], first)
        yield pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def _ids(chance: random.Random, count: int) -> pa.Array:
    """Random ids in hexadecimal."""
    digits = chance.randbytes(count * ID_CHARACTERS // 2).hex().encode()
    ends = array("i", range(0, len(digits) + 1, ID_CHARACTERS))
    return pa.Array.from_buffers(pa.utf8(), count, [None, pa.py_buffer(ends), pa.py_buffer(digits)])


class _Publisher(Wire):
    """Publishes many messages at a time and waits for all acknowledgements."""

    def publish_all(self, messages: Iterable[Outgoing]) -> None:
        reply = f"{self.inbox}.ack"
        rest = iter(messages)
        while part := list(islice(rest, IN_FLIGHT)):
            self._socket.sendall(b"".join(_as_published(message, reply) for message in part))
            waiting = len(part)
            while waiting:
                answers = self.frames()
                waiting -= len(answers)
                refused = [payload for _, _, _, payload in answers if b'"error"' in payload]
                if refused:
                    raise RuntimeError(f"NATS refuses a message: {refused[0].decode()}")


def _as_published(message: Outgoing, reply: str) -> bytes:
    head = header_block(message.headers)
    size = len(head) + len(message.payload)
    line = f"HPUB {message.subject} {reply} {len(head)} {size}\r\n".encode()
    return b"".join((line, head, message.payload, b"\r\n"))


def _publish_observer(settings: Settings, batches: Iterable[pa.RecordBatch]) -> None:
    messages = (
        message
        for batch in batches
        for message in observer_messages(batch, settings.subject_prefix)
    )
    options = options_of(settings)
    with _Publisher(options, options.servers[0], name="benchmark", timeout=30) as nats:
        nats.publish_all(messages)


def as_stored(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Events as the log returns them if each is stored as one message."""
    table = pa.Table.from_batches(batches)
    rows = table.num_rows
    now = pa.scalar(time.time_ns() // 1000, TIMESTAMP)
    return pa.table(
        [
            *table.columns,
            pa.array(range(1, rows + 1), pa.uint64()),
            pa.repeat(pa.scalar(0, pa.uint32()), rows),
            pa.repeat(now, rows),
        ],
        schema=EVENT_SCHEMA,
    )
