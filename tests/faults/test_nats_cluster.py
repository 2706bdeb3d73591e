"""Three NATS servers as a cluster: the leader of the log is killed under load, and every event is
stored once, read once, and once in a plane."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from log_server import NatsServer, info, payloads, read, settings_for
from nats.errors import Error as NatsError
from pydantic import SecretStr
from stacks import wait_until

from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.pipeline.ingest import ingest_range
from fraiseql_assets.pipeline.job import Job
from fraiseql_assets.planes import Batching
from fraiseql_assets.ranges import SequenceRange
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import publish
from fraiseql_assets.stream.connection import LogError, connect
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams
from local_stack.ports import distinct_free_ports

EVENTS = 3_000


@dataclass(frozen=True, slots=True)
class Cluster:
    """The servers by their names, and settings for all of them."""

    servers: dict[str, NatsServer]
    settings: Settings

    @property
    def leader(self) -> str:
        """The server that stores and delivers the log's messages."""
        found = info(self.settings, self.settings.stream).cluster
        assert found is not None
        return found.leader or ""

    def answers(self) -> bool:
        with suppress(LogError, NatsError):
            return bool(self.leader)
        return False


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Three servers with a log of three replicas."""
    routes = distinct_free_ports(3)
    listed = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
    servers: dict[str, NatsServer] = {}
    with ExitStack() as opened:
        for number, port in enumerate(routes):
            name = f"n{number}"
            own = folder / name
            own.mkdir()
            configuration = (
                f"server_name: {name}\n"
                f"cluster {{ name: log, listen: 127.0.0.1:{port}, routes: [{listed}] }}\n"
            )
            servers[name] = NatsServer(own, configuration, ("-js",))
            servers[name].start()
            opened.callback(servers[name].stop)
        urls = ",".join(server.url for server in servers.values())
        settings = settings_for(urls, stream_replicas=3)
        made = Cluster(servers, settings)

        def is_set_up() -> bool:
            # A cluster answers once it has elected its leader.
            with suppress(LogError, NatsError):
                asyncio.run(setup_streams(settings))
                return True
            return False

        wait_until(is_set_up)
        yield made


def events(settings: Settings) -> list[Outgoing]:
    subject = f"{settings.subject_prefix}.Order.INSERT"
    return [
        Outgoing(
            subject,
            b'{"id":"e-%d","event_type":"INSERT","entity_type":"Order","entity_id":"o",'
            b'"data":{},"timestamp":"2026-01-01T00:00:00Z"}' % number,
            {"Nats-Msg-Id": f"e-{number}"},
        )
        for number in range(EVENTS)
    ]


def test_killing_the_leader_under_load_loses_and_duplicates_nothing(
    tmp_path: Path, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ACK_SECONDS", 2.0)
    with cluster(tmp_path) as made:
        settings = made.settings
        half = threading.Event()

        async def load() -> publish.Published:
            async with connect(settings, name="tests", reconnect_seconds=60) as client:
                return await publish.publish(
                    client,
                    events(settings),
                    rate=2_000,
                    on_progress=lambda done: half.set() if done >= EVENTS / 3 else None,
                )

        leader = made.leader
        published: list[publish.Published] = []
        producer = threading.Thread(target=lambda: published.append(asyncio.run(load())))
        producer.start()
        assert half.wait(60)
        made.servers[leader].kill()
        producer.join(120)
        assert [each.events for each in published] == [EVENTS]
        wait_until(made.answers)
        assert made.leader != leader

        last = info(settings, settings.stream).state.last_seq
        wanted = Counter(message.payload for message in events(settings))
        assert Counter(payloads(read(settings, 1, last))) == wanted
        assert rows_of_a_plane(settings, clickhouse_url, last) == EVENTS


def rows_of_a_plane(settings: Settings, clickhouse_url: str, last: int) -> int:
    """The events that the analytics plane holds after a run over the whole log."""
    name = settings.stream
    url = SecretStr(f"{clickhouse_url.removesuffix('/default')}/{name}")
    plane = AnalyticsPlane(settings.model_copy(update={"clickhouse_url": url}))
    plane.setup()
    try:
        with Log(settings, name="tests") as log:
            first = log.position_from(1)
            assert first is not None
            job = Job("run", 1, Batching(500, 2**20, 100_000, 2**26), ahead=2)
            return ingest_range(plane, log, SequenceRange(1, last), first.day, job).rows
    finally:
        plane.close()
