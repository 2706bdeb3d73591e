"""A bridge publishes every row once, whatever is killed meanwhile."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from change_logs import ChangeLogs, change_log
from log_server import ask, nats_server, store
from nats.js.client import JetStreamContext
from stacks import SECONDS, wait_until

from fraiseql_assets.bridge.rows import BRIDGE
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import publish


@pytest.fixture
def log(database_url: str, nats_url: str) -> Iterator[ChangeLogs]:
    with change_log(database_url, nats_url) as log:
        yield log


KILLED = """
import asyncio, os, signal
from fraiseql_assets.bridge import bridge
from fraiseql_assets.bridge.start import Start
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import publish

def killed_at(call, where, what):
    calls = 0
    async def around(*arguments, **named):
        nonlocal calls
        calls += 1
        mine = calls
        if mine == call and where == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await what(*arguments, **named)
        if mine == call and where == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return around

{patch}
asyncio.run(bridge.Bridge(Settings(), start=Start.beginning, once=True).run())
"""
STEPS = {
    "before a page is published": "bridge.publish = killed_at(2, 'before', bridge.publish)",
    "within a page": "publish.publish_one = killed_at(15, 'after', publish.publish_one)",
    "after a page was published": "bridge.publish = killed_at(2, 'after', bridge.publish)",
    "after its position was saved": (
        "bridge.Positions.save = killed_at(3, 'after', bridge.Positions.save)"
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_bridge_continues_after_one_that_was_killed(
    step: str, database_url: str, nats_url: str
) -> None:
    with change_log(database_url, nats_url, bridge_rows=10) as log:
        # Recognising ids is not what keeps events from being stored twice.
        short_window(log.settings)
        names = [f"n{number}" for number in range(30)]
        log.commit(*names)
        assert log.run(KILLED.format(patch=STEPS[step])).returncode == -signal.SIGKILL
        before = len(log.published())
        assert before < len(names)
        # Somebody else publishes too.
        store(log.settings, [other(log.settings)])
        time.sleep(2 * WINDOW_SECONDS)
        log.publish()
        events = [name for name in log.published() if name != "other"]
        assert sorted(events) == sorted(names)
        assert log.position().published == len(names)


SAVES_NO_SECOND_PAGE = KILLED.format(
    patch="bridge.Positions.save = killed_at(3, 'before', bridge.Positions.save)"
).replace("once=True", "once=False")


def test_a_standby_takes_over_from_a_bridge_that_was_killed(
    database_url: str, nats_url: str, tmp_path: Path
) -> None:
    said = tmp_path / "standby"
    with change_log(database_url, nats_url, bridge_rows=10) as log, closing(log.connect()) as late:
        short_window(log.settings)
        log.write(late, "late")
        names = [f"n{number}" for number in range(30)]
        log.commit(*names[:10])
        script = [sys.executable, "-c", SAVES_NO_SECOND_PAGE]
        with subprocess.Popen(script, env=log.environment) as first:
            wait_until(lambda: log.count() == Counter(names[:10]))
            with said.open("w") as output, log.command(stderr=output) as standby:
                wait_until(lambda: "this one stands by" in said.read_text())
                log.commit(*names[10:])
                assert first.wait(SECONDS) == -signal.SIGKILL
                log.write(late, "later")
                late.commit()
                log.commit("new")
                wait_until(lambda: log.count().keys() >= {"late", "later", "new", *names})
                standby.send_signal(signal.SIGTERM)
                standby.wait(SECONDS)
        expected = Counter([*names, "late", "later", "new"])
        assert (log.count(), log.position().published) == (expected, expected.total())


WINDOW_SECONDS = 0.1
"""The shortest duplicate window that NATS takes."""


def short_window(settings: Settings) -> None:
    async def shorten(jetstream: JetStreamContext) -> None:
        config = (await jetstream.stream_info(settings.stream)).config
        await jetstream.update_stream(replace(config, duplicate_window=WINDOW_SECONDS))

    ask(settings, shorten)


def other(settings: Settings) -> Outgoing:
    """An event of another producer."""
    subject = f"{settings.subject_prefix}.Order.INSERT"
    return Outgoing(subject, b'{"data": {"name": "other"}}', {BRIDGE: "another"})


def test_a_bridge_continues_after_postgresql_ends_its_connection(log: ChangeLogs) -> None:
    log.commit("a")
    with log.publishing():
        wait_until(lambda: log.published() == ["a"])
        log.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'fraiseql-assets bridge'"
        )
        log.commit("b")
        wait_until(lambda: log.published() == ["a", "b"])


def test_a_bridge_continues_after_nats_was_killed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ACK_SECONDS", 1.0)
    names = [f"n{number}" for number in range(2_000)]
    with (
        nats_server(tmp_path) as server,
        change_log(database_url, server.url, bridge_rows=20) as log,
    ):
        log.commit(*names)
        with log.publishing():
            wait_until(lambda: log.messages() > 100)
            server.kill()
            server.start()
            wait_until(lambda: log.messages() >= len(names))
        assert log.count() == Counter(names)
