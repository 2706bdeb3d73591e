"""Publishes for many threads over one connection, which is made when it is first needed."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress

from nats.aio.client import Client

from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import Stored, publish_one

RECONNECT_SECONDS = 30
CLOSE_SECONDS = 3.0


class Publisher:
    """Publishes messages in the order in which they are sent. Thread-safe.

    A connection that was lost for good is made again for the next message.
    """

    def __init__(self, settings: Settings, *, name: str) -> None:
        self._settings, self._name = settings, name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connecting: asyncio.Lock | None = None
        self._connection: AbstractAsyncContextManager[Client] | None = None
        self._client: Client | None = None

    def max_payload(self) -> int:
        """The largest message that the server takes, in bytes.

        Raises:
            LogUnavailable: the server cannot be reached.
        """
        work = self._connected()
        return asyncio.run_coroutine_threadsafe(work, self._running()).result().max_payload

    def send(self, message: Outgoing) -> Future[Stored]:
        """Publishes a message. Returns at once; the future has the acknowledgement, or one of the
        errors of `publish_one`."""
        return asyncio.run_coroutine_threadsafe(self._publish(message), self._running())

    def close(self) -> None:
        """Closes the connection. Messages without an acknowledgement may be lost."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._disconnect(), loop).result(CLOSE_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_SECONDS)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop

    async def _publish(self, message: Outgoing) -> Stored:
        return await publish_one(await self._connected(), message)

    async def _connected(self) -> Client:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._client is None or self._client.is_closed:
                await self._disconnect()
                self._connection = connect(
                    self._settings, name=self._name, reconnect_seconds=RECONNECT_SECONDS
                )
                self._client = await self._connection.__aenter__()
            return self._client

    async def _disconnect(self) -> None:
        connection, client = self._connection, self._client
        self._connection = self._client = None
        if connection is not None and client is not None:
            await connection.__aexit__(None, None, None)
