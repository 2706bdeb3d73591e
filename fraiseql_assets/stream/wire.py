"""The NATS protocol on a blocking socket, for reading many messages with one reader.

The asynchronous client library spends most of its time per message on callbacks and queues;
`benchmarks/reading.py` compares both. This module has only what reading needs: connecting with the
same credentials and TLS, publishing, requests, and the messages of an inbox.
"""

import json
import secrets
import socket
import ssl
from types import TracebackType
from typing import Any, Self

from fraiseql_assets.stream.options import NatsOptions, NatsServer

RECEIVE_BYTES = 2**18
NO_RESPONDER = b"NATS/1.0 503"

NO_SUBJECT = "_fraiseql.probe"
"""A subject that no stream captures."""

PURGE_FAILED = 10051
"""JetStream's error code for a purge of a stream whose files cannot be written."""

Frame = tuple[bytes, bytes, bytes, bytes]
"""A raw message: subject, reply subject, header block, payload."""


class WireError(Exception):
    """The server refuses, disconnects or violates the protocol: the connection is unusable."""


class NoResponder(WireError):
    """The subject of a request has no subscriber."""


class Parser:
    """Splits the byte stream of a connection into messages; chunks may end anywhere."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._held = self._wanted = 0
        self.info: dict[str, Any] | None = None
        """The last INFO of the server."""
        self.pings = self.pongs = 0
        """How many of each have arrived."""

    def feed(self, data: bytes) -> list[Frame]:
        """Adds received bytes and returns the messages that are now complete.

        Raises:
            WireError: the server reports an error, or the bytes are not NATS protocol.
        """
        self._chunks.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return []
        buffer = b"".join(self._chunks)
        frames: list[Frame] = []
        rest = self._split(buffer, frames)
        self._chunks, self._held = [buffer[rest:]], len(buffer) - rest
        return frames

    def _split(self, buffer: bytes, frames: list[Frame]) -> int:
        """Appends the complete messages to `frames`. Returns the offset of the remainder."""
        find, length, at = buffer.find, len(buffer), 0
        self._wanted = 0
        # One character is found many times faster than two, and a line holds no other "\r".
        while 0 <= (end := find(b"\r", at)) < length - 1:
            words = buffer[at:end].split(b" ")
            count = len(words)
            if words[0] == b"MSG" and 4 <= count <= 5:
                reply, head = words[3] if count == 5 else b"", 0
            elif words[0] == b"HMSG" and 5 <= count <= 6:
                reply, head = words[3] if count == 6 else b"", int(words[-2])
            else:
                self._control(buffer[at:end])
                at = end + 2
                continue
            start = end + 2
            body, stop = start + head, start + int(words[-1])
            if length < stop + 2:
                self._wanted = stop + 2 - at
                break
            frames.append((words[1], reply, buffer[start:body], buffer[body:stop]))
            at = stop + 2
        return at

    def _control(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        if verb == b"PING":
            self.pings += 1
        elif verb == b"PONG":
            self.pongs += 1
        elif verb == b"INFO":
            self.info = json.loads(rest)
        elif verb == b"-ERR":
            raise WireError(f"NATS says {rest.decode(errors='replace')}")
        elif verb != b"+OK":
            raise WireError(f"the server does not speak the NATS protocol: {line[:60]!r}")


class Wire:
    """A connection to a NATS server that is open for the duration of a `with` block.

    Raises, from entering and from every method:
        WireError: the server refuses, disconnects or violates the protocol.
        OSError: the server cannot be reached, or is silent for `timeout` seconds (TimeoutError).
    """

    def __init__(
        self, options: NatsOptions, server: NatsServer, *, name: str, timeout: float
    ) -> None:
        self._options, self._server, self._name, self._timeout = options, server, name, timeout

    def __enter__(self) -> Self:
        self._parser = Parser()
        self._pings = 0
        self._waiting: list[Frame] = []
        address = (self._server.host, self._server.port)
        self._socket = socket.create_connection(address, self._timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._handshake()
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def _handshake(self) -> None:
        while self._parser.info is None:
            self._receive()
        info = self._parser.info
        if info.get("tls_required") or self._server.tls:
            context = self._options.tls_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=self._server.host)
        self.max_payload = int(info["max_payload"])
        self.inbox = f"_INBOX.{secrets.token_hex(11)}"
        options = {
            "name": self._name,
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "tls_required": isinstance(self._socket, ssl.SSLSocket),
            **self._options.authentication(nonce=info.get("nonce", "")),
        }
        greeting = f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox}.* 1\r\nPING\r\n"
        self._socket.sendall(greeting.encode())
        while not self._parser.pongs:
            self._receive()

    def publish(self, subject: str, payload: bytes, *, reply: str) -> None:
        """Publishes a message. Responses arrive at `reply`: `inbox` plus one more token."""
        head = f"PUB {subject} {reply} {len(payload)}\r\n".encode()
        self._socket.sendall(b"%b%b\r\n" % (head, payload))

    def request(self, subject: str, payload: bytes) -> bytes:
        """Publishes a message and returns the payload of the response.

        Raises:
            NoResponder: the subject has no subscriber.
        """
        answers = f"{self.inbox}.{secrets.token_hex(4)}"
        self.publish(subject, payload, reply=answers)
        while True:
            for frame in self._receive():
                if frame[0] != answers.encode():
                    self._waiting.append(frame)
                elif frame[2].startswith(NO_RESPONDER):
                    raise NoResponder(f"nobody is subscribed to {subject}")
                else:
                    return frame[3]

    def frames(self) -> list[Frame]:
        """Waits for the next messages of the inbox and returns them, at least one."""
        while not self._waiting:
            self._waiting = self._receive()
        frames, self._waiting = self._waiting, []
        return frames

    def _receive(self) -> list[Frame]:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise WireError("NATS closed the connection")
        frames = self._parser.feed(data)
        if self._parser.pings > self._pings:
            self._pings = self._parser.pings
            self._socket.sendall(b"PONG\r\n")
        return frames
