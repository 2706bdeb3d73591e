"""Reads an asset with one of Python's libraries, and prints the rows and the seconds.

Its argument is one of the names in `READERS`. The start of Python is no part of the seconds.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from urllib.request import Request, urlopen

import pyarrow as pa
from pyarrow import flight

ASSET = "analytics/events"
TOKEN = os.environ["FRAISEQL_FLIGHT_TOKEN"]


def streams() -> Iterator[flight.FlightStreamReader]:
    """The streams of the asset's endpoints, one after another."""
    header = (b"authorization", f"Bearer {TOKEN}".encode())
    options = flight.FlightCallOptions(headers=[header])
    client = flight.connect(os.environ["FRAISEQL_FLIGHT_URL"])
    info = client.get_flight_info(flight.FlightDescriptor.for_path(ASSET), options)
    for endpoint in info.endpoints:
        yield client.do_get(endpoint.ticket, options)


def pyarrow_table() -> int:
    return pa.concat_tables([stream.read_all() for stream in streams()]).num_rows


def pyarrow_batches() -> int:
    return sum(chunk.data.num_rows for stream in streams() for chunk in stream)


def pyarrow_http() -> int:
    url = f"{os.environ['FRAISEQL_HTTP_URL']}/assets/{ASSET}?format=arrow"
    request = Request(url, headers={"authorization": f"Bearer {TOKEN}"})
    with urlopen(request) as response, pa.ipc.open_stream(response) as reader:
        return reader.read_all().num_rows


def polars_frame() -> int:
    import polars as pl

    return pl.concat([pl.from_arrow(stream.read_all()) for stream in streams()]).height


def client_frame() -> int:
    import fraiseql_client

    with fraiseql_client.connect() as client:
        return client.read_asset(ASSET).to_polars(parallel=4).height


def client_batches() -> int:
    import fraiseql_client

    with fraiseql_client.connect() as client:
        return sum(batch.num_rows for batch in client.read_asset(ASSET).batches())


READERS: dict[str, Callable[[], int]] = {
    read.__name__: read
    for read in (
        pyarrow_table,
        pyarrow_batches,
        pyarrow_http,
        polars_frame,
        client_frame,
        client_batches,
    )
}

if __name__ == "__main__":
    read = READERS[sys.argv[1]]
    # Importing a library is no part of the reading.
    if "polars" in read.__name__ or "frame" in read.__name__:
        import polars  # noqa: F401
    started = time.perf_counter()
    rows = read()
    sys.stdout.write(f"{rows} rows, {time.perf_counter() - started:.3f} s\n")
