"""A full disk: doctor and status say it, and the local stack restarts NATS once there is room."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from log_server import add_stream, nats_server, settings_for, store_payloads
from nats.js.api import StreamConfig

from fraiseql_assets.cli.doctor import examine
from fraiseql_assets.cli.status import collect_status
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream import publish
from fraiseql_assets.stream.connection import LogError, LogUnavailable
from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams
from local_stack import nats_store, servers, supervisor
from local_stack.ports import distinct_free_ports
from local_stack.supervisor import Supervisor

pytestmark = pytest.mark.timeout(120)

MIB = 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("only root mounts file systems")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "ACK_SECONDS", 0.5)
    monkeypatch.setattr(publish, "TRIES", 1)
    monkeypatch.setattr(nats_store, "KEPT_FREE_BYTES", MIB)
    monkeypatch.setattr(supervisor, "EXAMINE_SECONDS", 0.2)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"0" * 65_536)


def break_stream(folder: Path, settings: Settings) -> None:
    """Fills the disk of the log for the block."""
    asyncio.run(setup_streams(settings))
    store_payloads(settings, [b"x" * MIB] * 2)
    fill(folder)
    for _ in range(2):
        with suppress(LogError):
            store_payloads(settings, [b"x" * MIB] * 20)
    (folder / "filler").unlink()


def test_a_log_that_takes_no_writes_is_reported_and_a_healthy_one_is_not_changed(
    small_disk: Path,
) -> None:
    with nats_server(small_disk) as server:
        settings = settings_for(server.url)
        asyncio.run(setup_streams(settings))
        with Log(settings, name="tests") as log:
            log.probe_write()
            assert (log.bounds().last, log.count_dead_letters()) == (0, 0)
        assert any(each.what == "NATS store" and each.state == "ok" for each in examine(settings))
        break_stream(small_disk, settings)
        said = r"NATS cannot write \(.*no space left"
        with Log(settings, name="tests") as log, pytest.raises(LogUnavailable, match=said):
            log.probe_write()
        wrong = [each.said for each in examine(settings) if each.state == "wrong"]
        assert any(each.startswith("NATS cannot write") for each in wrong)
        assert (collect_status(settings).log.error or "").startswith("NATS cannot write")


def test_a_stream_that_denies_purges_is_not_a_full_disk(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        settings = settings_for(server.url)
        config = StreamConfig(name=settings.stream, subjects=settings.subjects, deny_purge=True)
        add_stream(settings, config)
        asyncio.run(setup_streams(settings))
        with Log(settings, name="tests") as log:
            log.probe_write()
        assert not nats_store.needs_restart(tmp_path, server.url)


def test_a_full_store_is_reported(tmp_path: Path) -> None:
    with nats_server(tmp_path, "jetstream { max_file_store: 4MiB }") as server:
        settings = settings_for(server.url)
        asyncio.run(setup_streams(settings))
        with pytest.raises(LogError):
            store_payloads(settings, [b"x" * (MIB // 2)] * 20)
        said = r"NATS cannot write \(insufficient"
        with Log(settings, name="tests") as log, pytest.raises(LogUnavailable, match=said):
            log.probe_write()


def test_the_stack_restarts_nats_when_its_disk_has_room_again(small_disk: Path) -> None:
    [port] = distinct_free_ports(1)
    program = servers.nats(small_disk / "nats", port)
    settings = settings_for(program.addresses["nats_url"])
    reports: list[str] = []
    with Supervisor([[program]], small_disk, reports.append) as stack:
        for _ in stack.bring_up(lambda program, seconds: None):
            pass
        assert "max_file_store" in (small_disk / "nats" / "nats.conf").read_text()
        break_stream(small_disk, settings)
        assert program.needs_restart()
        restarted = threading.Event()

        def wait() -> None:
            while not restarted.is_set():
                with suppress(LogError):
                    store_payloads(settings, [b"y"])
                    restarted.set()
            stack.stop()

        waiting = threading.Thread(target=wait)
        waiting.start()
        stack.watch()
        waiting.join()
    assert "NATS can no longer write; it is restarted" in reports
