"""Clients of `soak.py`: threads of one process, each with a separate connection.

The input is JSON: `flight_url`, `http_url`, `token`, `clients`, `seconds`, `seed`. The output is
one JSON line per call: the client's number, the kind of call, seconds, rows, and the unexpected
error or null.
"""

import json
import random
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyarrow import flight

LINE = "orderKey lineNumber quantity extendedPrice discount shipDate shipMode"
LONGEST = 300


@dataclass
class Client:
    """A client and its queries."""

    call: dict[str, Any]
    random: random.Random

    def __post_init__(self) -> None:
        header = (b"authorization", f"Bearer {self.call['token']}".encode())
        self.flight = flight.connect(self.call["flight_url"])
        self.options = flight.FlightCallOptions(headers=[header], timeout=LONGEST)
        some = self._reader("{ orders(limit: 200) { id } }", {}).read_all()
        self.orders: list[str] = some["id"].to_pylist()

    def query(self, text: str, **variables: Any) -> int:
        """Reads a whole result. Returns the number of rows."""
        return sum(chunk.data.num_rows for chunk in self._reader(text, variables))

    def some_lines(self) -> int:
        narrowed = "where: {orderKey: {lte: $k}}, limit: 50"
        text = f"query ($k: Int) {{ lineItems({narrowed}) {{ {LINE} }} }}"
        return self.query(text, k=self.random.randrange(50, 200_000))

    def an_order(self) -> int:
        text = """query ($id: ID!) { order(id: $id) { orderKey totalPrice
            customer { name nation { name } } lineItems { lineNumber quantity } } }"""
        return self.query(text, id=self.random.choice(self.orders))

    def orders_with_lines(self) -> int:
        text = """query ($n: Int) { orders(offset: $n, limit: 500) { orderKey status placedAt
            customer { name status } lineItems { lineNumber extendedPrice } } }"""
        return self.query(text, n=self.random.randrange(5000))

    def all_lines(self) -> int:
        return self.query(f"{{ lineItems {{ {LINE} }} }}")

    def all_orders(self) -> int:
        return self.query("{ orders { orderKey status totalPrice customer { name status } } }")

    def all_lines_in_parts(self) -> int:
        ticket = _ticket(f"{{ lineItems {{ {LINE} }} }}", {})
        descriptor = flight.FlightDescriptor.for_command(ticket)
        info = self.flight.get_flight_info(descriptor, self.options)
        readers = (self.flight.do_get(one.ticket, self.options) for one in info.endpoints)
        return sum(chunk.data.num_rows for reader in readers for chunk in reader)

    def cancelled(self) -> int:
        reader = self._reader(f"{{ lineItems {{ {LINE} shipInstructions comment }} }}", {})
        rows = reader.read_chunk().data.num_rows
        reader.cancel()
        return rows

    def refused(self) -> int:
        failing = {
            "{ lineItems { nothing } }": "Cannot query field",
            "{ auditedOrders(limit: 1) { orderKey } }": "needs the role 'auditor'",
            "{ lineItems(limit: 100000000) { orderKey } }": "FRAISEQL_GRAPHQL_MAX_ROWS",
        }
        text, said = self.random.choice(list(failing.items()))
        try:
            self.query(text)
        except Exception as error:
            if said in str(error):
                return 0
            raise
        raise AssertionError(f"this was not refused: {text}")

    def as_json(self) -> int:
        body = {"query": f"{{ lineItems(limit: 100) {{ {LINE} }} }}"}
        request = urllib.request.Request(
            f"{self.call['http_url']}/graphql",
            json.dumps(body).encode(),
            {
                "content-type": "application/json",
                "authorization": f"Bearer {self.call['token']}",
            },
        )
        with urllib.request.urlopen(request, timeout=LONGEST) as answer:
            return len(json.load(answer)["data"]["lineItems"])

    def _reader(self, text: str, variables: dict[str, Any]) -> flight.FlightStreamReader:
        return self.flight.do_get(flight.Ticket(_ticket(text, variables)), self.options)


KINDS: dict[str, tuple[int, Callable[[Client], int]]] = {
    "50 rows, flat": (350, Client.some_lines),
    "an order with its lines": (300, Client.an_order),
    "100 rows as JSON over HTTP": (100, Client.as_json),
    "500 orders with their lines": (100, Client.orders_with_lines),
    "all orders, from documents": (4, Client.all_orders),
    "all line items, flat": (4, Client.all_lines),
    "all line items, in endpoints": (2, Client.all_lines_in_parts),
    "cancelled after a batch": (40, Client.cancelled),
    "refused": (100, Client.refused),
}
"""Each kind of call, with its share of a thousand calls."""
PAUSE_SECONDS = 0.5
"""The average pause of a client between two calls."""


def _ticket(text: str, variables: dict[str, Any]) -> bytes:
    return json.dumps({"type": "GraphQLQuery", "query": text, "variables": variables}).encode()


def run(call: dict[str, Any], number: int, told: Callable[[list[Any]], None]) -> None:
    """Sends calls until the time is over."""
    client = Client(call, random.Random(call["seed"] * 1000 + number))
    until = time.monotonic() + call["seconds"]
    weights = [weight for weight, _ in KINDS.values()]
    while (started := time.monotonic()) < until:
        [kind] = client.random.choices(list(KINDS), weights)
        rows, wrong = 0, None
        try:
            rows = KINDS[kind][1](client)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"[:300]
        told([number, kind, time.monotonic() - started, rows, wrong])
        time.sleep(client.random.expovariate(1 / PAUSE_SECONDS))


def main() -> None:
    call = json.load(sys.stdin)
    lock = threading.Lock()

    def told(line: list[Any]) -> None:
        with lock:
            sys.stdout.write(json.dumps(line) + "\n")

    first = call["seed"] * call["clients"]
    threads = [
        threading.Thread(target=run, args=(call, first + number, told))
        for number in range(call["clients"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
