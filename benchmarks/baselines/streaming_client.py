"""A client that reads a stream batch by batch and prints the largest growth of its memory, in MiB.

Its input is JSON: `url`, `token` and `query`.
"""

import json
import sys
from pathlib import Path

from pyarrow import flight

MIB = 2**10


def peak() -> float:
    """The peak memory of this process, in MiB."""
    [line] = [
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) / MIB


call = json.load(sys.stdin)
client = flight.connect(call["url"])
header = (b"authorization", f"Bearer {call['token']}".encode())
options = flight.FlightCallOptions(headers=[header])
[health] = client.do_action("HealthCheck", options)
connected = peak()
ticket = json.dumps({"type": "GraphQLQuery", "query": call["query"]}).encode()
rows = sum(chunk.data.num_rows for chunk in client.do_get(flight.Ticket(ticket), options))
if not rows:
    raise SystemExit("The stream was empty.")
sys.stdout.write(f"{peak() - connected}\n")
