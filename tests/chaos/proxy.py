"""Small TCP proxies that can cut a connection in the middle of what it carries."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Direction = Literal["request", "reply"]
HOST = "127.0.0.1"
READ_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class Cut:
    """The next piece of so many bytes that passes in the direction goes through by half, and the
    connection with it is broken off on both sides."""

    direction: Direction
    least_bytes: int


class Proxy:
    """One proxy. Where it leads, a file says that the stack's own processes write."""

    def __init__(self, name: str, target: Path) -> None:
        self.name = name
        self._target = target
        self._cut: Cut | None = None
        self._has_cut = False

    def arm(self, cut: Cut) -> None:
        """Sets the one cut that is to come."""
        self._cut = cut

    def take_back(self) -> bool:
        """Takes back a cut that has not come. Returns whether one has come since the last time."""
        has_cut, self._cut, self._has_cut = self._has_cut, None, False
        return has_cut

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection until either side ends it."""
        host, _, port = self._target.read_text().partition(":")
        try:
            beyond, out = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        both = (writer, out)
        try:
            await asyncio.gather(
                self._carry(reader, out, "request", both),
                self._carry(beyond, writer, "reply", both),
            )
        except asyncio.CancelledError:
            # The proxies end: asyncio would report it of whoever accepted the connection.
            for side in both:
                side.transport.abort()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        direction: Direction,
        both: Sequence[asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(READ_BYTES):
                if self._is_due(direction, piece):
                    sink.write(piece[: len(piece) // 2])
                    await sink.drain()
                    for side in both:
                        side.transport.abort()
                    return
                sink.write(piece)
                await sink.drain()
        sink.close()

    def _is_due(self, direction: Direction, piece: bytes) -> bool:
        cut = self._cut
        if cut is None or cut.direction != direction or len(piece) < cut.least_bytes:
            return False
        self._cut = None
        self._has_cut = True
        return True


@contextlib.contextmanager
def proxies(names: Sequence[str], folder: Path) -> Iterator[dict[str, Proxy]]:
    """Proxies by name, for the length of the block; `proxies.json` says their ports."""
    made = {name: Proxy(name, folder / f"{name}.target") for name in names}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxies", daemon=True)
    thread.start()

    servers: list[asyncio.Server] = []

    async def listen() -> dict[str, int]:
        for proxy in made.values():
            servers.append(await asyncio.start_server(proxy.serve, HOST, 0))
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        return dict(zip(made, ports, strict=True))

    ports = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    (folder / "proxies.json").write_text(json.dumps(ports))
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all(servers: Sequence[asyncio.Server]) -> None:
    for server in servers:
        server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    # The aborted connections are closed in the loop's next round.
    await asyncio.sleep(0)
