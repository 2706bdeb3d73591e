"""The local stack's secrets and folders, and who may use its servers."""

import os
import stat
from pathlib import Path

import pytest

from fraiseql_assets.endpoints import NAME, published
from local_stack import postgresql
from local_stack.data_folder import make_private
from local_stack.elasticsearch.guard import refusal
from local_stack.passwords import password_of
from local_stack.request_guard import LOOPBACK, authorization
from local_stack.stack import data_folder, layers

CREDENTIALS = authorization("fraiseql", "secret")
PORTS = {
    "nats_url": 1,
    "clickhouse_url": 2,
    "elasticsearch_url": 3,
    "database_url": 4,
    "dagster_url": 5,
    "flight_url": 6,
    "http_url": 7,
}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_password_is_random_persistent_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    first = password_of(tmp_path / "nats")
    assert len(first) >= 32
    assert password_of(tmp_path / "nats") == first
    assert password_of(tmp_path / "clickhouse") != first
    assert mode_of(tmp_path / "nats.password") == 0o600


def test_an_empty_password_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "nats.password").touch()
    assert len(password_of(tmp_path / "nats")) >= 32


def test_every_server_has_its_own_password(tmp_path: Path) -> None:
    below, above = layers(tmp_path, PORTS, demo=False)
    passwords = {program.name: password_of(tmp_path / program.name) for program in below}
    assert len(set(passwords.values())) == 4
    for program in below:
        [url] = program.addresses.values()
        assert f":{passwords[program.name]}@127.0.0.1:" in url
        others = set(passwords.values()) - {passwords[program.name]}
        held = " ".join(program.environment.values())
        assert passwords[program.name] in held
        assert not [other for other in others if other in held]
    for program in (*below, *above):
        assert not [word for word in passwords.values() if word in " ".join(program.command)]


def test_the_addresses_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / f"{NAME}.unfinished").symlink_to(other)
    with published(tmp_path, {"FRAISEQL_DAGSTER_URL": "http://d:1"}) as path:
        assert mode_of(path) == 0o600
    assert other.read_text() == "kept"


def test_the_data_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir(mode=0o750)
    with data_folder(parent / "data") as folder:
        (folder / "written").touch()
        assert mode_of(folder) == 0o700
        assert mode_of(folder / "logs") == 0o700
        assert mode_of(folder / "written") == 0o600
    assert mode_of(parent) == 0o750


def test_a_data_folder_of_an_older_release_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "lock").touch()
    (folder / "nats").mkdir()
    make_private(folder)
    assert mode_of(folder) == 0o700


def test_a_folder_with_other_content_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "somebody's file").touch()
    make_private(folder)
    assert mode_of(folder) == 0o755


def test_an_unreadable_program_is_copied_without_changing_modes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    installed = home / "pginstall"
    (installed / "bin").mkdir(parents=True)
    (installed / "bin" / "postgres").write_text("program")
    (installed / "bin" / "postgres").chmod(0o755)
    home.chmod(0o700)
    before = {path: mode_of(path) for path in (installed, *installed.parents)}
    mask = os.umask(0o077)
    try:
        copy = postgresql.executable_by_all(installed, tmp_path / "shared")
    finally:
        os.umask(mask)
    assert (copy / "bin" / "postgres").read_text() == "program"
    assert mode_of(copy / "bin" / "postgres") == 0o755
    assert mode_of(tmp_path / "shared") == 0o755
    assert {path: mode_of(path) for path in before} == before
    assert postgresql.executable_by_all(installed, tmp_path / "shared") == copy


@pytest.mark.parametrize("host", [*sorted(LOOPBACK - {"::1"}), "[::1]"])
def test_the_search_engine_accepts_the_password(host: str) -> None:
    headers = {"Host": f"{host}:9200", "Authorization": CREDENTIALS}
    assert refusal(headers.get, CREDENTIALS, "127.0.0.1") is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, "UNAUTHORIZED"),
        ({"Authorization": authorization("fraiseql", "wrong")}, "UNAUTHORIZED"),
        ({"Authorization": authorization("other", "secret")}, "UNAUTHORIZED"),
        ({"Authorization": "é\udc80"}, "UNAUTHORIZED"),
        ({"Authorization": CREDENTIALS, "Origin": "http://127.0.0.1:9200"}, "FORBIDDEN"),
        ({"Authorization": CREDENTIALS, "Origin": "null"}, "FORBIDDEN"),
        ({"Authorization": CREDENTIALS, "Host": "attacker.example:9200"}, "FORBIDDEN"),
        ({"Authorization": CREDENTIALS, "Host": "localhost.attacker.example"}, "FORBIDDEN"),
        ({"Authorization": CREDENTIALS, "Host": "["}, "FORBIDDEN"),
        ({"Authorization": CREDENTIALS, "Host": ""}, "FORBIDDEN"),
    ],
)
def test_the_search_engine_refuses_other_requests(headers: dict[str, str], status: str) -> None:
    given = {"Host": "127.0.0.1:9200", **headers}
    refused = refusal(given.get, CREDENTIALS, "127.0.0.1")
    assert refused is not None
    assert refused[0] == status
