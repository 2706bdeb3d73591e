"""TCP proxies that can break a connection in the middle of a request or response."""

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
    """Forwards only half of the next data of at least `least_bytes` in a direction, then aborts the
    connection on both sides."""

    direction: Direction
    least_bytes: int


class Proxy:
    """A proxy. It reads the server's address from a file that the stack's processes write."""

    def __init__(self, name: str, target: Path) -> None:
        self.name = name
        self._target = target
        self._cut: Cut | None = None
        self._has_cut = False

    def arm(self, cut: Cut) -> None:
        """Schedules a cut."""
        self._cut = cut

    def take_back(self) -> bool:
        """Cancels the scheduled cut. Returns whether a cut happened since the last call."""
        has_cut, self._cut, self._has_cut = self._has_cut, None, False
        return has_cut

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one connection until either side ends it."""
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
            # The proxies are ending; asyncio would log the cancellation as an error.
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
    """Starts proxies for the duration of the block and writes their ports to `proxies.json`."""
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
    # asyncio closes the aborted connections in the next iteration of the loop.
    await asyncio.sleep(0)
