"""N11: from an event's publication until it is visible in each plane, at 1,000 and 5 a second.

The whole local stack runs, sensors and all, as `fraiseql-assets dev` starts it. Now and then one of
the published events is a marker; each plane is asked again and again, by a search in Elasticsearch
and a query in ClickHouse, which of the markers it shows. The seconds between two looks are part of
what is measured. By default two rounds of 60 seconds at each rate.
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from elasticsearch import ApiError, NotFoundError
from harness import QUICK, Cell, Comparison, Side, Table, load, percentile, report, working
from logs import events

from fraiseql_assets.analytics.client import connect as connect_clickhouse
from fraiseql_assets.analytics.setup import EVENTS_TABLE
from fraiseql_assets.events.encode import Outgoing, observer_messages
from fraiseql_assets.operational.client import connect as connect_elasticsearch
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import connect
from fraiseql_assets.stream.publish import publish
from tests.stacks import own_folder, whole


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast events are published, and the goal of N11 at that rate."""

    rate: int
    burst: int
    mark_each: int
    """Every so many bursts the first event is a marker."""
    goal: float


PACES = (Pace(1_000, 100, 5, 2.0), Pace(5, 1, 3, 3.0))
ROUNDS = 1 if QUICK else 2
SECONDS = 10 if QUICK else 60
WARM_SECONDS = 2 if QUICK else 15
LOOK_SECONDS = 0.25
PAUSE = 4
"""Between two looks, in lengths of a look."""
PATIENCE_SECONDS = 120

Look = Callable[[Iterable[str]], set[str]]


@dataclass(slots=True)
class Markers:
    """Published events that one plane does not show yet, and how long the others took."""

    waiting: dict[str, float] = field(default_factory=dict)
    """The time at which each was published."""
    seconds: list[float] = field(default_factory=list)
    """The seconds until each became visible."""


def clickhouse_look(settings: Settings) -> Look:
    """A function that returns which of some events have a row."""
    client = connect_clickhouse(settings, timeout=30)
    statement = f"SELECT event_id FROM {EVENTS_TABLE} WHERE event_id IN {{ids:Array(String)}}"

    def look(ids: Iterable[str]) -> set[str]:
        found = client.query(statement, parameters={"ids": list(ids)})
        return {str(row[0]) for row in found.result_rows}

    return look


def elasticsearch_look(settings: Settings) -> Look:
    """A function that returns which of some events a search finds."""
    client, alias = connect_elasticsearch(settings, timeout=30), Names.of(settings).all_days

    def look(ids: Iterable[str]) -> set[str]:
        try:
            found = client.search(
                index=alias, query={"ids": {"values": list(ids)}}, size=10_000, source=False
            )
        except NotFoundError:
            return set()
        except ApiError as error:
            # The day's index was created just now, and its shard has not started.
            if error.status_code != 503:
                raise
            return set()
        return {hit["_id"] for hit in found["hits"]["hits"]}

    return look


async def publish_steadily(
    settings: Settings,
    stream: Iterator[Outgoing],
    pace: Pace,
    seconds: int,
    planes: Iterable[Markers],
) -> None:
    """Publishes at the rate for so long, and marks events for each plane."""
    async with connect(settings, name="benchmark", reconnect_seconds=10) as client:
        started = time.monotonic()
        for number in range(seconds * pace.rate // pace.burst):
            await asyncio.sleep(
                max(0.0, started + number * pace.burst / pace.rate - time.monotonic())
            )
            burst = list(islice(stream, pace.burst))
            if number % pace.mark_each == 0:
                for markers in planes:
                    markers.waiting[burst[0].headers["Nats-Msg-Id"]] = time.monotonic()
            await publish(client, burst)


def watch(look: Look, markers: Markers, published: threading.Event) -> None:
    """Looks for the markers until all of them are visible or the timeout has passed."""
    deadline = None
    while True:
        over = published.is_set()
        began, waiting = time.monotonic(), list(markers.waiting)
        for name in look(waiting) if waiting else ():
            markers.seconds.append(time.monotonic() - markers.waiting.pop(name))
        if over:
            deadline = deadline or time.monotonic() + PATIENCE_SECONDS
            if not markers.waiting or time.monotonic() > deadline:
                return
        # Reading must not become the load that is measured.
        time.sleep(max(LOOK_SECONDS, PAUSE * (time.monotonic() - began)))


def one_round(
    settings: Settings,
    stream: Iterator[Outgoing],
    looks: dict[str, Look],
    pace: Pace,
    seconds: int,
) -> dict[str, list[float]]:
    """The seconds of each marker, by plane; of one that never came, how long it was waited for."""
    markers = {plane: Markers() for plane in looks}
    published = threading.Event()
    watchers = [
        threading.Thread(target=watch, args=(look, markers[plane], published))
        for plane, look in looks.items()
    ]
    for watcher in watchers:
        watcher.start()
    try:
        asyncio.run(publish_steadily(settings, stream, pace, seconds, markers.values()))
    finally:
        published.set()
    for watcher in watchers:
        watcher.join()
    for found in markers.values():
        # These took longer; the goal is missed in any case.
        found.seconds += [time.monotonic() - at for at in found.waiting.values()]
    return {plane: found.seconds for plane, found in markers.items()}


Rounds = dict[Pace, list[dict[str, list[float]]]]


def measured(seconds: int, rounds: int) -> tuple[Rounds, list[float]]:
    """The rounds on a stack of their own, and the load around each."""
    with own_folder() as folder, working("starting the stack"), whole(folder / "data") as stack:
        settings = stack.settings
        stream = (
            message
            for batch in events(
                sum(p.rate * (WARM_SECONDS + rounds * seconds) + p.burst for p in PACES)
            )
            for message in observer_messages(batch, settings.subject_prefix)
        )
        looks = {
            "analytics": clickhouse_look(settings),
            "operational": elasticsearch_look(settings),
        }
        with working(f"{WARM_SECONDS} s unmeasured"):
            asyncio.run(publish_steadily(settings, stream, PACES[0], WARM_SECONDS, ()))
        found: Rounds = {pace: [] for pace in PACES}
        loads = [load()]
        for pace in PACES:
            for number in range(1, rounds + 1):
                with working(f"round {number} of {rounds}: {seconds} s at {pace.rate:,} events/s"):
                    found[pace].append(one_round(settings, stream, looks, pace, seconds))
            loads.append(load())
    return found, loads


def _spread(seconds: list[float]) -> list[Cell]:
    return [statistics.median(seconds), percentile(seconds, 0.95), max(seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"each; default {SECONDS}")
    asked = parser.parse_args()
    found, loads = measured(asked.seconds, asked.rounds)
    compared, rows = [], []
    for pace, rounds in found.items():
        sides = [
            Side(plane, "s, p95", [percentile(each[plane], 0.95) for each in rounds])
            for plane in rounds[0]
        ]
        value = max(side.median for side in sides)
        measure = (
            f"published → visible in each plane, p95 at {pace.rate:,} events/s, the slower plane"
        )
        goal, kept = f"≤ {pace.goal:g} s", value <= pace.goal
        compared.append(Comparison("N11", measure, goal, value, kept, sides, (loads[0], loads[-1])))
        rows += [
            [plane, pace.rate, number, len(seconds), *_spread(seconds)]
            for number, each in enumerate(rounds, 1)
            for plane, seconds in each.items()
        ]
    columns = ("plane", "events/s", "round", "markers", "p50 s", "p95 s", "max s")
    note = f"{asked.seconds} s a round, a look every {LOOK_SECONDS} s or more."
    report("latency", compared, [Table("From published to visible", columns, rows, note)])


if __name__ == "__main__":
    main()
