"""The servers' own backups hold all of a plane, and the plane goes on from them.

docs/backup.md says how each part is kept and restored. Days that are rebuilt from the log or from
the other plane are in test_incomplete_log.py, a lost log is in test_another_log.py.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from clickhouse_cluster import clickhouse
from event_tables import DAY, STREAM, block, entry, event
from stacks import running

from fraiseql_assets.analytics.client import connect, database_of
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.operational.plane import OperationalPlane
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.settings import Settings

EVENTS = [event(number) for number in range(1, 101)]


@pytest.fixture(scope="module")
def clickhouse_url() -> Iterator[str]:
    """A server that may write files; the stack's own may not."""
    with running(clickhouse) as url:
        yield url


@pytest.mark.parametrize("plane_name", ["analytics"])
def test_a_restored_plane_has_the_rows_of_the_backup_and_ingests_further_ranges(
    plane: AnalyticsPlane, settings: Settings, tmp_path: Path
) -> None:
    database, backup = database_of(settings), tmp_path / "backup"
    plane.record(entry(1, 100))
    plane.write(block(EVENTS))
    plane.record(entry(1, 100, state="committed", rows=100, messages=100))
    before = plane.ledger(STREAM)
    with closing(connect(settings, timeout=60, database="default")) as client:
        client.command(f"BACKUP DATABASE {database} TO File('{backup}')")
        client.command(f"DROP DATABASE {database} SYNC")
        client.command(f"RESTORE DATABASE {database} FROM File('{backup}')")
    assert all("as it should be" in line for line in plane.setup())
    assert plane.ledger(STREAM) == before
    again = [{**event(1), "stream_seq": 101}, event(102)]
    assert plane.write(block(again)).duplicates == 1
    assert set(plane.compare_aggregates(DAY).values()) == {101}


@pytest.mark.parametrize("plane_name", ["operational"])
def test_a_plane_restored_from_a_snapshot_has_its_documents_and_its_ledger(
    plane: OperationalPlane, settings: Settings, elasticsearch_url: str
) -> None:
    def ask(method: str, path: str, body: Any = None) -> None:
        requests.request(
            method, f"{elasticsearch_url}/{path}", json=body, timeout=60
        ).raise_for_status()

    prefix = settings.index_prefix
    plane.record(entry(1, 100))
    plane.write(block(EVENTS))
    plane.record(entry(1, 100, state="committed", rows=100, messages=100))
    before = plane.ledger(STREAM)
    body = {"indices": f"{prefix}-*", "include_global_state": False}
    ask("PUT", f"_snapshot/{prefix}", {"type": "fs", "settings": {"location": prefix}})
    ask("PUT", f"_snapshot/{prefix}/first?wait_for_completion=true", body)
    for index in requests.get(f"{elasticsearch_url}/{prefix}-*", timeout=60).json():
        ask("DELETE", index)
    ask("POST", f"_snapshot/{prefix}/first/_restore?wait_for_completion=true", body)
    ask("DELETE", f"_snapshot/{prefix}/first")
    ask("DELETE", f"_snapshot/{prefix}")
    assert all("as it should be" in line for line in plane.setup())
    assert plane.ledger(STREAM) == before
    again = [{**event(1), "stream_seq": 101}, event(102)]
    assert plane.write(block(again)).duplicates == 1
    found = OperationalReader(settings).batches("operational/events")
    assert sum(batch.num_rows for batch in found) == plane.count(DAY).rows == 101
