"""What the tests of the clients share: the service they ask, and how a client is run."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyarrow import flight

from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.publish import publish_generated
from tests.flights import Service

CLIENTS = Path(__file__).parents[2] / "clients"
SECRET = "a secret of at least thirty-two characters"
TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=back) for back in (6, 4, 3)]
ROWS = 3_000
"""Events of a day."""
PUBLISHED = 500
"""Events in the log, which are in no plane."""
ORDERS = 15_000
"""Orders of the demo's database at this scale."""
DEMO_SCALE = 0.01
SECONDS = 120
SECONDS_TO_BUILD = 900
SCRIPTS = sysconfig.get_path("scripts")


@dataclass(frozen=True)
class Served:
    """A service that checks tokens, and others over the same data."""

    guarded: Service
    unguarded: Service
    encrypted: Service
    """As the first, with TLS."""
    authority: Path
    """The file of the authority that its certificate is signed by."""
    token: str
    page_port: int
    """The port of the web pages that may call the service."""

    @property
    def settings(self) -> Settings:
        return self.guarded.settings

    @property
    def environment(self) -> dict[str, str]:
        """What a client's user has set."""
        return self.environment_of(self.guarded)

    def environment_of(self, service: Service) -> dict[str, str]:
        """What a client's user has set for one of the services."""
        return {
            "FRAISEQL_FLIGHT_URL": service.settings.flight_url,
            "FRAISEQL_HTTP_URL": service.settings.http_url,
            "FRAISEQL_FLIGHT_TOKEN": self.token,
        }

    def head(self) -> int:
        """The last sequence of the log."""
        with Log(self.settings, name="clients test") as log:
            return log.bounds().last

    def logged(self, after: int, count: int) -> list[dict[str, Any]]:
        """The first events of the log behind a sequence, so many. There are no more of them."""
        ticket = json.dumps({"type": "Tail", "start_sequence": after + 1}).encode()
        token = (b"authorization", f"Bearer {self.token}".encode())
        options = flight.FlightCallOptions(timeout=SECONDS, headers=[token])
        reader = self.guarded.client.do_get(flight.Ticket(ticket), options)
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += reader.read_chunk().data.to_pylist()
        reader.cancel()
        assert (len(found), found[-1]["stream_seq"]) == (count, self.head())
        return found

    def publish(self, count: int) -> None:
        """Publishes events that nobody has published before, each in a message of its own."""
        seed = secrets.randbits(32)
        asyncio.run(publish_generated(self.settings, count=count, shape="observer", seed=seed))


def tool(name: str) -> str:
    """The path of a program that the tests need."""
    found = shutil.which(name, path=os.pathsep.join([SCRIPTS, os.environ.get("PATH", os.defpath)]))
    assert found, f"{name} is missing: .ci/clients installs what the tests need."
    return found


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    cwd: Path | None = None,
    seconds: float = SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Runs a client as its user does, with the service in its environment."""
    return subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output(done: subprocess.CompletedProcess[str]) -> str:
    """What a client printed; it succeeded."""
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout.strip()


@contextmanager
def running(
    command: Sequence[str | Path], environment: Mapping[str, str], *, cwd: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Starts a client that follows the log, and waits until it says so. Yields it, and the lines
    that it has printed."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **environment},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    lines = [process.stdout.readline().strip()]
    reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        yield process, lines
        process.wait(SECONDS)
        reader.join(SECONDS)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
