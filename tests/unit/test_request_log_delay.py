"""Requests are answered while NATS accepts connections and gives no answer."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from pydantic import SecretStr

from fraiseql_assets.request_log.asgi import Identity, RecordRequests
from fraiseql_assets.request_log.publisher import RequestLog
from fraiseql_assets.settings import Settings
from tests.unit.test_request_asgi import QUERY, answering, ask

BUFFER, REQUESTS = 3, 10
INFO = b'INFO {"server_id":"x","version":"2.10.0","headers":true,"max_payload":1048576}\r\n'


class HoldingServer:
    """Accepts connections and messages, and acknowledges none until `release`.

    If it is silent, it does not even greet its clients.
    """

    def __init__(self, *, is_silent: bool) -> None:
        self.is_silent = is_silent
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.holds, self._released = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            if self.is_silent:
                self.holds.set()
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.sendall(INFO)
        lines, subscription, sequence = connection.makefile("rb"), b"", 0
        for line in lines:
            command, _, rest = line.strip().partition(b" ")
            words = rest.split()
            if command == b"PING":
                connection.sendall(b"PONG\r\n")
            elif command == b"SUB":
                subscription = words[-1]
            elif command in (b"PUB", b"HPUB"):
                lines.read(int(words[-1]) + 2)
                sequence += 1
                self.holds.set()
                self._released.wait()
                said = b'{"stream":"requests","seq":%d}' % sequence
                connection.sendall(
                    b"MSG %b %b %d\r\n%b\r\n" % (words[1], subscription, len(said), said)
                )

    def release(self) -> None:
        """Acknowledges what is held. A silent server closes its connections."""
        self._released.set()
        if self.is_silent:
            self.close()

    def close(self) -> None:
        self._released.set()
        for each in (self._listening, *self._connections):
            # Closing it alone does not end a call of another thread, which still accepts a client.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture(params=[False, True], ids=["without acknowledgements", "silent"])
def server(request: pytest.FixtureRequest) -> Iterator[HoldingServer]:
    with closing(HoldingServer(is_silent=request.param)) as holding:
        yield holding


def test_requests_are_answered_while_nats_holds_its_acknowledgements(
    server: HoldingServer,
) -> None:
    log = RequestLog(
        Settings(nats_url=SecretStr(f"nats://127.0.0.1:{server.port}"), request_log_buffer=BUFFER)
    )
    body = json.dumps({"data": {"order": None}}).encode()
    app = RecordRequests(answering(body), log, identify=lambda _: Identity("ada", "acme"))
    answers: list[bytes] = []

    def send(count: int) -> None:
        for _ in range(count):
            answers.append(asyncio.run(ask(app, json=QUERY)).content)

    def send_all() -> None:
        send(1)
        assert server.holds.wait(30)
        # The first request is being published now, and the others do not wait for it.
        send(REQUESTS - 1)

    sending = threading.Thread(target=send_all, daemon=True)
    sending.start()
    sending.join(30)
    assert answers == [body] * REQUESTS
    counts = log.counts()
    assert (counts.published, counts.dropped, counts.waiting) == (0, REQUESTS - BUFFER, BUFFER)
    server.release()
    counts = log.close(30)
    assert counts.published == (0 if server.is_silent else BUFFER)
    assert counts.published + counts.dropped == REQUESTS
