"""Every committed row of a change log becomes one event, whenever it is committed and whatever is
killed meanwhile.

All tests share one PostgreSQL and one NATS server, so the file is longer than others.
"""

import asyncio
import json
import re
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
from log_server import ask, info, nats_server, store
from nats.js.client import JetStreamContext
from pydantic import SecretStr
from stacks import SECONDS, wait_until

from fraiseql_assets.bridge.errors import (
    BridgeError,
    NumberingRestarted,
    PositionTaken,
    UnreadableTable,
)
from fraiseql_assets.bridge.lag import lag_of
from fraiseql_assets.bridge.position import Position
from fraiseql_assets.bridge.positions import open_positions
from fraiseql_assets.bridge.rows import BRIDGE
from fraiseql_assets.bridge.start import Start
from fraiseql_assets.cli.bridge_lag import bridge_lag
from fraiseql_assets.events.encode import Outgoing
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import publish
from fraiseql_assets.stream.connection import LogError, connect


@pytest.fixture
def log(database_url: str, nats_url: str) -> Iterator[ChangeLogs]:
    with change_log(database_url, nats_url) as log:
        yield log


def position(log: ChangeLogs) -> Position:
    """The position that is saved."""

    async def load() -> Position | None:
        async with connect(log.settings, name="tests") as client:
            return await (await open_positions(client, log.settings)).load()

    found = asyncio.run(load())
    assert found is not None
    return found


def test_rows_become_events_in_order(log: ChangeLogs) -> None:
    log.commit("a", "b", "c")
    log.publish()
    log.commit("d")
    log.publish()
    assert log.published() == ["a", "b", "c", "d"]


def test_a_row_committed_after_larger_numbers_is_published(log: ChangeLogs) -> None:
    with closing(log.connect()) as late:
        log.write(late, "late")
        log.commit("early")
        log.publish()
        assert log.published() == ["early"]
        late.commit()
    log.publish()
    assert log.published() == ["early", "late"]


def test_a_late_row_of_a_transaction_that_is_older_than_the_bridge_is_published(
    log: ChangeLogs,
) -> None:
    with closing(log.connect()) as late:
        log.write(late, "late")
        log.commit("there")
        log.publish(start=Start.now)
        assert log.published() == []
        late.commit()
    log.commit("new")
    log.publish()
    assert log.published() == ["late", "new"]


def test_the_bridge_does_not_wait_for_rolled_back_numbers(log: ChangeLogs) -> None:
    with closing(log.connect()) as undone:
        log.write(undone, "x", "y")
        log.commit("a")
        log.publish()
        assert position(log).gaps == ((1, 2),)
        undone.rollback()
    log.publish()
    assert (log.published(), position(log).gaps) == (["a"], ())


MEASURED = r"""
import asyncio, re
from pathlib import Path
from fraiseql_assets.bridge.bridge import Bridge
from fraiseql_assets.bridge.start import Start
from fraiseql_assets.settings import Settings
def most():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = most()
asyncio.run(Bridge(Settings(), start=Start.beginning, once=True).run())
print(most() - before)
"""


def run_script(log: ChangeLogs, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=log.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_memory_does_not_grow_with_the_backlog(log: ChangeLogs) -> None:
    # Some 160 MiB, and more as text and as messages.
    log.fill(rows=20_000, size=8_192)
    done = run_script(log, MEASURED)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 80 * 1024, done.stdout
    found = info(log.settings, log.settings.stream)
    assert found.state.messages == 20_000


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
        assert run_script(log, KILLED.format(patch=STEPS[step])).returncode == -signal.SIGKILL
        before = len(log.published())
        assert before < len(names)
        # Somebody else publishes too.
        store(log.settings, [other(log.settings)])
        time.sleep(2 * WINDOW_SECONDS)
        log.publish()
        events = [name for name in log.published() if name != "other"]
        assert sorted(events) == sorted(names)
        assert position(log).published == len(names)


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
        assert (log.count(), position(log).published) == (expected, expected.total())


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


def test_a_notification_wakes_the_bridge(database_url: str, nats_url: str) -> None:
    with change_log(database_url, nats_url) as log:
        never = log.settings.model_copy(update={"bridge_poll_seconds": 1e6})
        log = replace(log, settings=never)
        log.commit("a")
        with log.publishing():
            wait_until(lambda: log.published() == ["a"])
            log.commit("b")
            # Repeated, since the bridge may not listen yet.
            wait_until(lambda: log.execute(f"NOTIFY {never.bridge_channel}") or "b" in log.count())


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
            wait_until(lambda: len(log.published()) > 100)
            server.kill()
            server.start()
            wait_until(lambda: len(log.published()) >= len(names))
        assert log.count() == Counter(names)


def test_a_second_bridge_of_a_name_stands_by(log: ChangeLogs) -> None:
    log.commit("a")
    with log.publishing():
        wait_until(lambda: log.published() == ["a"])
        with pytest.raises(BridgeError, match=f"another bridge named {log.settings.bridge_name}"):
            log.publish()


def test_an_older_position_does_not_replace_a_newer_one(log: ChangeLogs) -> None:
    async def both() -> None:
        async with connect(log.settings, name="tests") as client:
            first, second = [await open_positions(client, log.settings) for _ in range(2)]
            assert (await first.load(), await second.load()) == (None, None)
            await second.save(Position(head=2, stream_seq=0))
            with pytest.raises(PositionTaken):
                await first.save(Position(head=1, stream_seq=0))

    asyncio.run(both())
    assert position(log).head == 2


def test_the_bridge_needs_only_select_on_the_table(log: ChangeLogs) -> None:
    role = log.settings.bridge_name
    schema = log.table.partition(".")[0]
    log.execute(f"""
        CREATE ROLE {role} LOGIN PASSWORD 'secret';
        ALTER ROLE {role} SET default_transaction_read_only = on;
        GRANT USAGE ON SCHEMA {schema} TO {role};
        GRANT SELECT ON {log.table} TO {role};
    """)
    reader = SecretStr(re.sub("//[^@]*@", f"//{role}:secret@", log.url))
    limited = replace(log, settings=log.settings.model_copy(update={"database_url": reader}))
    try:
        log.commit("a")
        limited.publish()
        assert log.published() == ["a"]
        log.execute(f"""
            ALTER TABLE {log.table} ENABLE ROW LEVEL SECURITY;
            CREATE POLICY own ON {log.table} FOR SELECT USING (tenant_id IS NULL);
        """)
        with pytest.raises(UnreadableTable, match=f"row security hides rows .* from {role}"):
            limited.publish()
        log.execute(f"CREATE POLICY bridge ON {log.table} FOR SELECT TO {role} USING (true)")
        log.commit("b")
        limited.publish()
        assert log.published() == ["a", "b"]
    finally:
        log.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


UNFIT = {
    "DROP TABLE {table}": "has no table",
    "ALTER TABLE {table} DROP COLUMN created_at": "no column created_at",
    "ALTER TABLE {table} ALTER COLUMN pk_entity_change_log SET CACHE 10": "SET CACHE 1",
}


@pytest.mark.parametrize("change", UNFIT)
def test_a_table_that_cannot_be_read_completely_is_refused(change: str, log: ChangeLogs) -> None:
    log.execute(change.format(table=log.table))
    with pytest.raises(UnreadableTable, match=UNFIT[change]):
        log.publish()


def test_an_older_table_without_most_columns_is_published(log: ChangeLogs) -> None:
    for column in ("id", "tenant_id", "seq", "commit_time", "object_data_before", "object_id"):
        log.execute(f"ALTER TABLE {log.table} DROP COLUMN {column}")
    log.fill(rows=3, size=32)
    log.publish()
    assert log.published() == ["1", "2", "3"]


def test_a_table_with_restarted_numbers_is_published(log: ChangeLogs) -> None:
    log.commit("a", "b", "c")
    log.publish()
    log.execute(f"TRUNCATE {log.table} RESTART IDENTITY")
    log.publish()
    log.commit("again")
    with pytest.raises(NumberingRestarted, match=r"ends at row 1, .* published up to row 3"):
        log.publish()
    log.commit("x", "y", "z")
    with pytest.raises(NumberingRestarted, match="has another row 3"):
        log.publish()


def test_a_prefix_that_the_log_does_not_capture_is_refused(log: ChangeLogs) -> None:
    changed = log.settings.model_copy(update={"subject_prefix": "elsewhere"})
    with pytest.raises(BridgeError, match=r"captures .* and not elsewhere\.Order\.INSERT"):
        replace(log, settings=changed).publish()


def test_a_row_too_large_for_a_message_stops_the_bridge(log: ChangeLogs) -> None:
    log.commit("large", text="x" * 9_000_000)
    with pytest.raises(LogError, match=r"has 9,000,\d+ bytes; the server takes 8,388,608"):
        log.publish()


def test_the_command_prints_the_lag_and_ends_on_ctrl_c(log: ChangeLogs) -> None:
    log.commit("a", "b")
    with log.command() as running:
        wait_until(lambda: len(log.published()) == 2)
        running.send_signal(signal.SIGINT)
        printed = running.communicate(timeout=SECONDS)
    assert (running.returncode, printed[0]) == (0, "")
    assert "0 events published, up to row 0" in printed[1]
    log.commit("c")
    with log.command("--status", "--json") as asked:
        found = json.loads(asked.communicate(timeout=SECONDS)[0])
    assert (found["published"], found["head"], found["rows"]) == (2, 2, 1)
    assert str(asyncio.run(lag_of(log.settings))).startswith(
        f"bridge {log.settings.bridge_name}: 2 events published, up to row 2"
    )


def test_the_lag_of_a_bridge_that_is_used_is_part_of_the_status(log: ChangeLogs) -> None:
    assert bridge_lag(log.settings) == (None, None)
    log.commit("a", "b")
    log.publish()
    log.commit("c")
    lag, problem = bridge_lag(log.settings)
    assert lag is not None
    assert (lag.published, lag.rows, problem) == (2, 1, None)


def test_the_status_has_the_reason_for_an_unknown_lag(log: ChangeLogs) -> None:
    log.commit("a")
    log.publish()
    nowhere = SecretStr("postgresql://127.0.0.1:1/nothing")
    lag, problem = bridge_lag(log.settings.model_copy(update={"database_url": nowhere}))
    assert (lag, "127.0.0.1:1" in (problem or "")) == (None, True)
