"""Every committed row of a change log becomes one event, whenever it is committed.

All tests share one PostgreSQL and one NATS server, so the file is longer than others.
"""

import asyncio
import json
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from change_logs import ChangeLogs, change_log
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
from fraiseql_assets.bridge.start import Start
from fraiseql_assets.cli.bridge_lag import bridge_lag
from fraiseql_assets.stream.connection import LogError, connect


@pytest.fixture
def log(database_url: str, nats_url: str) -> Iterator[ChangeLogs]:
    with change_log(database_url, nats_url) as log:
        yield log


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
        assert log.position().gaps == ((1, 2),)
        undone.rollback()
    log.publish()
    assert (log.published(), log.position().gaps) == (["a"], ())


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


def test_memory_does_not_grow_with_the_backlog(log: ChangeLogs) -> None:
    # Some 96 MiB, and more as text and as messages.
    log.fill(rows=3_000, size=32_768)
    done = log.run(MEASURED)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 64 * 1024, done.stdout
    assert log.messages() == 3_000


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
    assert log.position().head == 2


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
        wait_until(lambda: log.messages() == 2)
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
