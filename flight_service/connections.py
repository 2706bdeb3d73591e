"""HTTP connections that end when their client does not send a request in time, or sends none."""

import asyncio
import sys
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from flight_service.http_failures import HeadTooLarge, Malformed, failure

HEAD_BYTES = 64 * 2**10
"""The maximum size of a request's head: its URL and headers."""

HEAD_SECONDS = 10.0
"""How long a client may take to send the head of a request, from the connection or from the first
byte after the previous request."""


class LimitedConnection(H11Protocol):
    """uvicorn's protocol over h11, which limits the size of a request's head, with a deadline for
    it. Without a deadline, a client could occupy a connection by sending nothing."""

    head_seconds: ClassVar[float] = HEAD_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # pyright: ignore[reportArgumentType]
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_idle:
            self._end_wait()
        elif self._deadline is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuses bytes that are no request, which no route and no middleware sees. uvicorn's own
        response is plain text, also if the head is too large."""
        # uvicorn calls this where it handles the parser's error, and does not pass it on.
        hint = getattr(sys.exception(), "error_status_hint", Malformed.status.http)
        is_long = hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        error = HeadTooLarge(HEAD_BYTES) if is_long else Malformed()
        status, content, headers = failure(error)
        sent = {**headers, "content-length": str(sum(map(len, content))), "connection": "close"}
        head = [(name.encode(), value.encode()) for name, value in sent.items()]
        reason = HTTPStatus(status).phrase.encode()
        events = [
            h11.Response(status_code=status, headers=head, reason=reason),
            *(h11.Data(data=piece) for piece in content),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        super().connection_lost(exc)

    @property
    def _is_idle(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_idle:
            self.transport.abort()
