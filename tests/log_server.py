"""Settings that only need NATS, and a NATS server that tests of the log stop, kill and freeze."""

import asyncio
import contextlib
import secrets
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nats.js.api import StreamConfig, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.events.messages import Messages
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import Published, publish
from fraiseql_assets.stream.setup import setup_streams

T = TypeVar("T")

BATCHING = Batching(batch_messages=1_000, batch_bytes=2**20, block_rows=1, block_bytes=1)


def settings_for(url: str, **others: Any) -> Settings:
    """Settings for a NATS server, with names that no other test uses."""
    name = f"test_{secrets.token_hex(4)}"
    return Settings(
        **{
            "nats_url": SecretStr(url),
            "stream": f"{name}_events",
            "subjects": [f"{name}.>"],
            "subject_prefix": f"{name}.mutation",
            "dead_letter_stream": f"{name}_dead_letters",
            "request_stream": f"{name}_requests",
            "request_subject_prefix": f"requests_{name}",
            **others,
        }
    )


@contextmanager
def streams(url: str) -> Iterator[Settings]:
    """Settings whose streams are set up. The streams are deleted after the block."""
    settings = settings_for(url)
    asyncio.run(setup_streams(settings))
    try:
        yield settings
    finally:
        asyncio.run(drop(settings))


async def drop(settings: Settings) -> None:
    async with connect(settings, name="tests") as client:
        for stream in (settings.stream, settings.request_stream, settings.dead_letter_stream):
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(stream)


def ask(settings: Settings, question: Callable[[JetStreamContext], Awaitable[T]]) -> T:
    """The response of JetStream to a request."""

    async def work() -> T:
        async with connect(settings, name="tests") as client:
            return await question(client.jetstream())

    return asyncio.run(work())


def info(settings: Settings, stream: str) -> StreamInfo:
    return ask(settings, lambda jetstream: jetstream.stream_info(stream))


def add_stream(settings: Settings, config: StreamConfig) -> None:
    ask(settings, lambda jetstream: jetstream.add_stream(config))


def consumers(settings: Settings) -> int:
    """The current number of consumers of the log."""
    return info(settings, settings.stream).state.consumer_count


def store(settings: Settings, messages: Iterable[Outgoing]) -> Published:
    """Publishes messages and waits until all are stored."""

    async def work() -> Published:
        async with connect(settings, name="tests", reconnect_seconds=10) as client:
            return await publish(client, messages)

    return asyncio.run(work())


def store_payloads(settings: Settings, payloads: Iterable[bytes]) -> Published:
    subject = f"{settings.subject_prefix}.Order.INSERT"
    return store(settings, (Outgoing(subject, payload, {}) for payload in payloads))


def delete(settings: Settings, sequences: Iterable[int]) -> None:
    """Deletes messages from the log."""

    async def work() -> None:
        async with connect(settings, name="tests") as client:
            for sequence in sequences:
                await client.jetstream().delete_msg(settings.stream, sequence)

    asyncio.run(work())


def read(
    settings: Settings, first: int, last: int, batching: Batching = BATCHING
) -> list[Messages]:
    """The batches of a range."""
    with Log(settings, name="tests", reconnect_seconds=10) as log:
        return list(log.read(SequenceRange(first, last), batching, ahead=2))


def sequences(batches: Iterable[Messages]) -> list[int]:
    return [sequence for batch in batches for sequence in batch.sequences]


def payloads(batches: Iterable[Messages]) -> list[bytes]:
    return [payload for batch in batches for payload in batch.payloads]


class NatsServer:
    """A NATS server that a test can stop, kill and freeze."""

    def __init__(self, folder: Path, configuration: str, options: Sequence[str]) -> None:
        self._folder, self._log, self._options = folder, folder / "nats.log", options
        self._configuration = folder / "nats.conf"
        self._configuration.write_text(configuration)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts the server on its folder and port."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(f"{sysconfig.get_path('scripts')}/nats-server", *self._options),
                    *("-c", self._configuration, "-sd", self._folder),
                    *("-a", "127.0.0.1", "-p", str(self.port)),
                ],
                stdout=log,
                stderr=log,
            )
        while not self._greets():
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.02)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                return probe.recv(5) == b"INFO "
        except ConnectionError:
            return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.thaw()
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def nats_server(
    folder: Path, configuration: str = "", options: Sequence[str] = ("-js",)
) -> Iterator[NatsServer]:
    """Starts a server for the duration of the block."""
    server = NatsServer(folder, configuration, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
