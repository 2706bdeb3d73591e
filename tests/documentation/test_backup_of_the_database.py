"""The commands of docs/backup.md bring a database back, with its functions and views."""

import os
import subprocess
from pathlib import Path

import adbc_driver_postgresql.dbapi as dbapi
import pytest
from demo_tables import tables_of
from examples import blocks

from local_stack.demo import on_database
from local_stack.demo.database import load
from local_stack.postgresql import programs

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
DOCUMENTS = "SELECT data::text FROM v_order ORDER BY id"


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def test_a_restored_database_answers_as_before(database_url: str, tmp_path: Path) -> None:
    [block] = [text for text in blocks(PAGE, "sh") if "pg_dump" in text]
    dump, restore = block.splitlines()
    url = on_database(database_url, "backed_up")
    load(url, 0.001, tables=tables_of(0.001))
    before = query(url, DOCUMENTS)

    def run(command: str) -> None:
        # Those of the server's own release first.
        path = f"{programs() / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "FRAISEQL_DATABASE_URL": url, "PATH": path}
        subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path, env=environment)

    run(dump)
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE tb_order CASCADE")
    with pytest.raises(dbapi.Error):
        query(url, DOCUMENTS)
    run(restore)
    assert len(before) > 0
    assert query(url, DOCUMENTS) == before
