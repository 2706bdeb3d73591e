"""The users of ClickHouse in `docker/clickhouse/users.xml`, on the engine itself.

The embedded engine has one user. It gets the grants of each in turn, on the same tables.
"""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "local_stack/clickhouse/configuration/open_users.xml"
PRODUCTION = ElementTree.parse(ROOT / "docker/clickhouse/users.xml").getroot()

RUN = """\
import sys
from pathlib import Path
from local_stack.clickhouse import engine

def configuration(folder, *, open_to_all):
    (folder / "users.xml").write_text(Path(sys.argv[2]).read_text())
    path = folder / "config.xml"
    path.write_text(
        f"<clickhouse><users_config>{folder / 'users.xml'}</users_config>"
        "<default_database>files</default_database></clickhouse>"
    )
    return path

engine.write_configuration = configuration
opened = engine.Engine(Path(sys.argv[1]))
session = opened.open()
for statement in sys.stdin.read().split(";"):
    if statement.strip():
        try:
            print(session.query(statement, "CSV")[0].decode().strip())
        except Exception as error:
            print("refused" if "ACCESS_DENIED" in str(error) else error)
session.close()
opened.close()
"""

SETUP = """\
CREATE DATABASE IF NOT EXISTS fraiseql;
CREATE TABLE fraiseql.events (day Date, n UInt64) ENGINE = MergeTree PARTITION BY day ORDER BY n;
CREATE TABLE fraiseql.sums (day Date, n AggregateFunction(sum, UInt64))
ENGINE = AggregatingMergeTree PARTITION BY day ORDER BY day;
CREATE MATERIALIZED VIEW fraiseql.to_sums TO fraiseql.sums
AS SELECT day, sumState(n) AS n FROM fraiseql.events GROUP BY day;
CREATE OR REPLACE VIEW fraiseql.shown AS SELECT day, sumMerge(n) FROM fraiseql.sums GROUP BY day;
ALTER TABLE fraiseql.events ADD COLUMN IF NOT EXISTS note String;
SELECT count() FROM system.tables WHERE database = 'fraiseql'
"""
PIPELINE = """\
INSERT INTO fraiseql.events (day, n) SELECT '2026-01-01', number FROM numbers(10);
CREATE TABLE fraiseql.staging AS fraiseql.events;
INSERT INTO fraiseql.staging (day, n) SELECT '2026-01-01', 7;
ALTER TABLE fraiseql.events REPLACE PARTITION '2026-01-01' FROM fraiseql.staging;
ALTER TABLE fraiseql.events DELETE WHERE n = 8 SETTINGS mutations_sync = 1;
DROP TABLE fraiseql.staging SYNC;
SELECT sum(n) FROM fraiseql.events;
SELECT count() > 0 FROM system.parts
"""
FLIGHT = """\
SELECT sum(n) FROM fraiseql.events;
SELECT count() FROM fraiseql.shown;
SHOW TABLES FROM fraiseql LIKE 'events';
DESCRIBE TABLE fraiseql.events FORMAT Null
"""
WRITES = """\
INSERT INTO fraiseql.events (day, n) SELECT '2026-01-01', 1;
ALTER TABLE fraiseql.events DROP COLUMN note;
DROP TABLE fraiseql.events;
CREATE TABLE fraiseql.more (n UInt8) ENGINE = Memory
"""
OUTSIDE = """\
SELECT * FROM file('/etc/passwd', 'LineAsString');
SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString');
CREATE TABLE other.events (n UInt8) ENGINE = Memory;
CREATE USER another;
SYSTEM SHUTDOWN
"""


def run(folder: Path, user: str, statements: str) -> list[str]:
    """Executes the statements as a user. Returns the first line of each result."""
    users = ElementTree.parse(LOCAL).getroot()
    own, grants = users.find("users/default"), PRODUCTION.find(f"users/{user}/grants")
    assert own is not None
    assert grants is not None
    own.append(grants)
    path = folder / f"{user}.xml"
    path.write_text(ElementTree.tostring(users, encoding="unicode"))
    done = subprocess.run(
        [sys.executable, "-c", RUN, folder / "store", path],
        input=statements,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tables that `setup` creates, and rows that `pipeline` writes."""
    folder = tmp_path_factory.mktemp("clickhouse")
    assert run(folder, "setup", SETUP)[-1] == "4"
    assert run(folder, "pipeline", PIPELINE)[-2:] == ["7", "1"]
    return folder


def test_the_flight_user_can_read(store: Path) -> None:
    assert run(store, "flight", FLIGHT) == ["7", "1", '"events"', ""]


def test_the_flight_user_cannot_write(store: Path) -> None:
    assert run(store, "flight", WRITES) == ["refused"] * 4


@pytest.mark.parametrize("user", ["setup", "pipeline", "flight"])
def test_no_user_reaches_other_databases(store: Path, user: str) -> None:
    assert run(store, user, OUTSIDE) == ["refused"] * 5


def test_only_the_users_of_the_services_exist() -> None:
    names = {user.tag for user in PRODUCTION.iterfind("users/*")}
    assert names == {"default", "setup", "pipeline", "flight"}
    default = PRODUCTION.find("users/default")
    assert default is not None
    assert default.attrib == {"remove": "remove"}
    script = (ROOT / "docker/make-secrets.sh").read_text()
    assert set(re.findall(r"<(\w+)><password_sha256_hex>", script)) == names - {"default"}
