"""N2 and N3: speed of a GraphQL query, over Flight and in other ways.

N2  Seven scalars of 100,000 rows, from the request to a polars frame: over Flight, over HTTP as
    Arrow and as JSON, from other JSON servers over the same database (see
    `baselines/json_server.py`), and by ADBC directly from PostgreSQL. The goal compares with a
    FraiseQL server and its statement. The table has all results.
N3  250,000 stored documents over Flight, against `COPY … BINARY` of the same typed projection,
    whose bytes are read and discarded. A third side copies the values as text.
"""

import argparse
import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import line_items
import orjson
import polars as pl
import psycopg2
import pyarrow as pa
import requests
from adbc_driver_postgresql import dbapi
from harness import QUICK, ROUNDS, Comparison, Side, Table, alternate, rate, report
from processes import Service, baseline, flight_service
from pyarrow import flight

ROWS = 2_000 if QUICK else 100_000
SLOW_ROWS = ROWS // 5
"""Rows for servers that take seconds; the benchmark compares rows per second."""
FIELDS = "id orderKey lineNumber extendedPrice late shippedAt shipMode"
ARROW = "application/vnd.apache.arrow.stream"
FLIGHT, FRAISEQL, BEST = "Flight", "FraiseQL's statement, JSON", "list built by PostgreSQL, JSON"
RESOLVERS = "graphql-core's resolvers, JSON"
ADBC = "ADBC, directly from PostgreSQL"
FLAT_GOAL, JSONB_GOAL, N3_GOAL = 15.0, 5.0, 0.90

FLAT = """
SELECT id::text, order_key, line_number, extended_price::text, late, shipped_at, ship_mode
FROM va_line_item LIMIT {rows}
"""
PROJECTED = """
SELECT
    data->>'id',
    (data->>'orderKey')::int8,
    (data->>'lineNumber')::int4,
    data->>'extendedPrice',
    (data->>'late')::bool,
    (data->>'shippedAt')::timestamptz,
    data->>'shipMode'
FROM tv_stored_item
"""
TEXTS = re.sub(r"\((data->>'\w+')\)::\w+", r"\1", PROJECTED)
"""The same values as text. The service reads text and converts it itself."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers and connections to measure, each server in a separate process."""

    service: Service
    client: flight.FlightClient
    json_url: str
    adbc: dbapi.Connection
    database_url: str

    def flight(self, query: str) -> flight.FlightStreamReader:
        """Starts a query over Flight. Returns its stream."""
        ticket = json.dumps({"type": "GraphQLQuery", "query": query}).encode()
        return self.client.do_get(flight.Ticket(ticket), self.service.options)

    def graphql(self, query: str, kind: str = "application/json") -> requests.Response:
        """The response of the service over HTTP."""
        headers = {"authorization": f"Bearer {self.service.token}", "accept": kind}
        url = f"{self.service.http_url}/graphql"
        return _whole(requests.post(url, json={"query": query}, headers=headers, timeout=300))

    def other(self, path: str, query: str) -> requests.Response:
        """The response of a baseline server."""
        return _whole(requests.post(self.json_url + path, json={"query": query}, timeout=300))


def _whole(answer: requests.Response) -> requests.Response:
    answer.raise_for_status()
    return answer


def query_of(field: str, rows: int) -> str:
    return f"{{ {field}(limit: {rows}) {{ {FIELDS} }} }}"


def frame(rows: Any) -> pl.DataFrame:
    """A frame from an Arrow table or from a list of dictionaries."""
    made = pl.from_arrow(rows) if isinstance(rows, pa.Table) else pl.DataFrame(rows)
    assert isinstance(made, pl.DataFrame)
    return made


def own_sides(servers: Servers, field: str) -> dict[str, Callable[[], pl.DataFrame]]:
    """The ways to a frame through the service, and through ADBC."""
    query = query_of(field, ROWS)

    def by_adbc() -> pl.DataFrame:
        with servers.adbc.cursor() as cursor:
            cursor.execute(FLAT.format(rows=ROWS))
            return frame(cursor.fetch_arrow_table())

    def over_http() -> pl.DataFrame:
        return frame(pa.ipc.open_stream(servers.graphql(query, ARROW).content).read_all())

    return {
        FLIGHT: lambda: frame(servers.flight(query).read_all()),
        "Arrow over HTTP": over_http,
        "the service's JSON, orjson": lambda: frame(
            orjson.loads(servers.graphql(query).content)["data"][field]
        ),
        "the service's JSON, json": lambda: frame(servers.graphql(query).json()["data"][field]),
        ADBC: by_adbc,
    }


def other_sides(
    servers: Servers, field: str, slow: tuple[str, ...]
) -> dict[str, Callable[[], pl.DataFrame]]:
    """The ways to a frame through the baseline servers."""

    def json_of(path: str, name: str) -> Callable[[], pl.DataFrame]:
        query = query_of(field, SLOW_ROWS if name in slow else ROWS)
        return lambda: frame(servers.other(path, query).json()["data"][field])

    lines = query_of(field, ROWS)
    return {
        "lines built by PostgreSQL, NDJSON": lambda: pl.read_ndjson(
            io.BytesIO(servers.other("/lines", lines).content)
        ),
        BEST: json_of("/aggregate", BEST),
        FRAISEQL: json_of("/documents", FRAISEQL),
        RESOLVERS: json_of("/resolvers", RESOLVERS),
    }


def measured(
    ways: Mapping[str, Callable[[], pl.DataFrame]], rounds: int
) -> tuple[list[Side], tuple[float, float]]:
    """Measures each way, in rows per second."""

    def work(way: Callable[[], pl.DataFrame]) -> Callable[[], float]:
        def made() -> float:
            found = way()
            assert found.width == len(FIELDS.split())
            return found.height

        return lambda: rate(made)

    return alternate({name: work(way) for name, way in ways.items()}, unit="rows/s", rounds=rounds)


def n2(servers: Servers, rounds: int) -> tuple[list[Comparison], Table]:
    """Measures flat relations, views that build documents, and stored documents."""
    # For each field that FraiseQL projects, such a view builds the whole document again.
    building = (FRAISEQL, RESOLVERS)
    flat, flat_load = measured(
        own_sides(servers, "lineItems") | other_sides(servers, "lineItems", building), rounds
    )
    only = {FLIGHT: own_sides(servers, "builtItems")[FLIGHT]}
    built, built_load = measured(only | other_sides(servers, "builtItems", building), rounds)
    ways = own_sides(servers, "storedItems")
    del ways[ADBC]
    stored, stored_load = measured(ways | other_sides(servers, "storedItems", (RESOLVERS,)), rounds)
    sources = {
        "from a flat relation": (flat, flat_load, FLAT_GOAL),
        "from a view that builds its JSONB": (built, built_load, JSONB_GOAL),
        "from stored JSONB": (stored, stored_load, JSONB_GOAL),
    }
    return [_judged(name, *found) for name, found in sources.items()], _table(sources)


def _judged(source: str, sides: list[Side], load: tuple[float, float], goal: float) -> Comparison:
    by_name = {side.name: side for side in sides}
    value = by_name[FLIGHT].median / by_name[FRAISEQL].median
    measure = (
        f"GraphQL, {ROWS:,} rows × 7 scalars to a polars frame, {source}: Flight against a "
        "FraiseQL server's HTTP/JSON"
    )
    compared = [by_name[name] for name in (FLIGHT, FRAISEQL, BEST, RESOLVERS)]
    return Comparison("N2", measure, f"≥ {goal:g} ×", value, value >= goal, compared, load)


def _table(sources: Mapping[str, tuple[list[Side], tuple[float, float], float]]) -> Table:
    rows: list[tuple[str, str, float, float]] = []
    for source, (sides, _, _) in sources.items():
        fastest = next(side.median for side in sides if side.name == FLIGHT)
        rows += [(source, side.name, side.median, fastest / side.median) for side in sides]
    loads = ", ".join(f"{before:.1f} to {after:.1f}" for _, (before, after), _ in sources.values())
    return Table(
        "GraphQL to a polars frame, all ways",
        ("source", "way", "rows/s", "speed-up of Flight"),
        rows,
        f"{ROWS:,} rows of 7 scalars, {SLOW_ROWS:,} for servers that take seconds. JSON is read "
        "with `requests` and Python's `json` unless another library is named. It gives decimals as "
        f"floats and times as text, while Arrow gives both their types. Load: {loads}.",
    )


def n3(servers: Servers, rounds: int) -> Comparison:
    query = f"{{ storedItems {{ {FIELDS} }} }}"
    with psycopg2.connect(servers.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tv_stored_item")
        [count] = cursor.fetchone() or (0,)

        def copied(projection: str) -> float:
            cursor.copy_expert(f"COPY ({projection}) TO STDOUT (FORMAT binary)", _Nowhere())
            return count

        def streamed() -> float:
            found = sum(chunk.data.num_rows for chunk in servers.flight(query))
            assert found == count
            return found

        sides, load = alternate(
            {
                "GraphQL over Flight": lambda: rate(streamed),
                "COPY … BINARY, bytes only": lambda: rate(lambda: copied(PROJECTED)),
                "COPY … BINARY of text, bytes only": lambda: rate(lambda: copied(TEXTS)),
            },
            unit="rows/s",
            rounds=rounds,
        )
    connection.close()
    value = sides[0].median / sides[1].median
    measure = f"GraphQL over {count:,} stored JSONB documents → Arrow, against COPY … BINARY"
    return Comparison("N3", measure, f"≥ {N3_GOAL:.2f}", value, value >= N3_GOAL, sides, load)


class _Nowhere:
    """Discards what is written."""

    def write(self, data: bytes) -> int:
        return len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="N2 and N3: GraphQL as Arrow and as JSON.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(line_items.database(folder))
        port = stack.enter_context(baseline(folder, "json_server", url))
        service = stack.enter_context(flight_service(folder, line_items.settings(url)))
        client = stack.enter_context(service.connect())
        adbc = stack.enter_context(dbapi.connect(url, autocommit=True))
        servers = Servers(service, client, f"http://127.0.0.1:{port}", adbc, url)
        compared, table = n2(servers, rounds)
        report("graphql_speed", [*compared, n3(servers, rounds)], [table])


if __name__ == "__main__":
    main()
