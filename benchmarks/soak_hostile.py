"""Hostile clients of `soak.py`: threads of one process, each of which repeats one kind of abuse.

The input is JSON: `flight_url`, `http_url`, `token`, `seconds`. The token is a principal's that the
other clients do not have. The output is one JSON line per kind of abuse: its name, how often it was
tried, and the errors it got, each with their number.
"""

import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from pyarrow import flight

LINES = "{ lineItems { orderKey lineNumber quantity shipInstructions comment } }"
UNREAD_SECONDS = 20.0
TIMEOUT = 60


class Hostile:
    """A connection of one hostile client, with a token or without one."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.call = call
        self.flight = flight.connect(call["flight_url"])
        self.options = self._options(call["token"])
        self.http = urlsplit(call["http_url"])
        self.tried = 0

    def slow_reader(self) -> None:
        """Begins large results and leaves them unread."""
        readers = [self._read(LINES) for _ in range(4)]
        time.sleep(UNREAD_SECONDS)
        for reader in readers:
            reader.cancel()

    def slow_http_reader(self) -> None:
        """The same over HTTP."""
        with closing(self._connect()) as client:
            client.sendall(self._post(json.dumps({"query": LINES})))
            client.recv(100)
            time.sleep(UNREAD_SECONDS)

    def cancels(self) -> None:
        """Cancels a large result as soon as it has begun."""
        reader = self._read(LINES)
        reader.read_chunk()
        reader.cancel()

    def huge_conditions(self) -> None:
        """Sends more conditions than are allowed, or nearly as many."""
        for count in (900, 12_000):
            terms = ", ".join(f"{{orderKey: {{eq: {n}}}}}" for n in range(count))
            self._read(f"{{ lineItems(where: {{_or: [{terms}]}}) {{ orderKey }} }}").read_all()

    def aliases(self) -> None:
        """Asks for the same thing under many names."""
        for part in ("__schema { types { name fields { name } } }", "orders(limit: 1) { id }"):
            text = " ".join(f"a{n}: {part}" for n in range(900))
            self._ask({"query": f"{{ {text} }}"})

    def new_texts(self) -> None:
        """Fills the cache of plans with texts that are all different."""
        for _ in range(50):
            self.tried += 1
            names = " ".join(f"a{self.tried}_{n}: orderKey" for n in range(200))
            self._ask({"query": f"{{ orders(limit: 1) {{ {names} }} }}"})

    def bad_tokens(self) -> None:
        """Calls with tokens that are not valid."""
        for token in ("", "x" * 10_000, "a.b.c", self.call["token"][:-3] + "abc"):
            try:
                list(self.flight.list_flights(b"", self._options(token)))
            except flight.FlightUnauthenticatedError:
                continue

    def garbage(self) -> None:
        """Sends bytes that are no HTTP, and requests that never end."""
        for data in (
            b"\x00" * 100_000,
            b"GET / HTTP/1.1\r\nx: " + b"y" * 200_000,
            b"POST /graphql ",
        ):
            with closing(self._connect()) as client:
                client.sendall(data)
                client.recv(1000)

    def lists(self) -> None:
        """Asks for the list of flights, again and again."""
        for _ in range(20):
            list(self.flight.list_flights(b"", self.options))

    def many_connections(self) -> None:
        """Opens connections and sends nothing."""
        clients = [self._connect() for _ in range(200)]
        time.sleep(5)
        for client in clients:
            client.close()

    def _options(self, token: str) -> flight.FlightCallOptions:
        return flight.FlightCallOptions(
            headers=[(b"authorization", f"Bearer {token}".encode())], timeout=TIMEOUT
        )

    def _read(self, text: str) -> flight.FlightStreamReader:
        ticket = json.dumps({"type": "GraphQLQuery", "query": text}).encode()
        return self.flight.do_get(flight.Ticket(ticket), self.options)

    def _connect(self) -> socket.socket:
        return socket.create_connection((self.http.hostname, self.http.port), timeout=TIMEOUT)

    def _post(self, body: str) -> bytes:
        head = (
            f"POST /graphql HTTP/1.1\r\nhost: {self.http.netloc}\r\n"
            f"authorization: Bearer {self.call['token']}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return (head + body).encode()

    def _ask(self, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{self.call['http_url']}/graphql",
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {self.call['token']}"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            answer.read()


KINDS: tuple[Callable[[Hostile], None], ...] = (
    Hostile.slow_reader,
    Hostile.slow_http_reader,
    Hostile.cancels,
    Hostile.huge_conditions,
    Hostile.aliases,
    Hostile.new_texts,
    Hostile.bad_tokens,
    Hostile.garbage,
    Hostile.lists,
    Hostile.many_connections,
)


def run(call: dict[str, Any], kind: Callable[[Hostile], None], told: Callable[[str], None]) -> None:
    """Repeats one kind of abuse until the time is over."""
    hostile, tried = Hostile(call), 0
    errors: Counter[str] = Counter()
    until = time.monotonic() + call["seconds"]
    while time.monotonic() < until:
        tried += 1
        try:
            kind(hostile)
        except Exception as error:
            errors[f"{type(error).__name__}: {error}"[:80]] += 1
            # It does not wait as it is told to, but does not use up the processor either.
            time.sleep(0.05)
    told(json.dumps([kind.__name__, tried, errors.most_common(3)]))


def main() -> None:
    call = json.load(sys.stdin)
    lock = threading.Lock()

    def told(line: str) -> None:
        with lock:
            sys.stdout.write(f"{line}\n")

    threads = [threading.Thread(target=run, args=(call, kind, told)) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
