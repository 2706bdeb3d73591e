"""What the local stack and production share, and how commands find a stack that runs."""

import shutil
from collections import UserDict, namedtuple
from collections.abc import ItemsView
from pathlib import Path

import pytest
import yaml

from fraiseql_assets.endpoints import NAME, of_running_stack, published
from fraiseql_assets.settings import DEFAULT_DATA_DIR, Settings
from local_stack.programs import describe_error
from local_stack.stack import FolderUnusable, data_folder

ROOT = Path(__file__).parents[2]
LOCAL = {"FRAISEQL_DAGSTER_URL": "http://127.0.0.1:1", "FRAISEQL_HTTP_URL": "http://127.0.0.1:1"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the working directory, which has no `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRAISEQL_DAGSTER_URL", raising=False)
    monkeypatch.delenv("FRAISEQL_HTTP_URL", raising=False)
    DEFAULT_DATA_DIR.mkdir()
    return tmp_path / DEFAULT_DATA_DIR


def test_local_dagster_is_configured_as_in_production() -> None:
    local = yaml.safe_load((ROOT / "local_stack/dagster.yaml").read_text())
    production = yaml.safe_load((ROOT / "docker/dagster.yaml").read_text())
    where = {"storage", "compute_logs"}
    assert local == {key: value for key, value in production.items() if key not in where}


def test_the_addresses_of_a_running_stack_are_found(folder: Path) -> None:
    with published(folder, LOCAL):
        assert Settings().dagster_url == "http://127.0.0.1:1"


def test_the_environment_overrides_dotenv_which_overrides_a_running_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text("FRAISEQL_DAGSTER_URL=http://d:2\nFRAISEQL_HTTP_URL=http://h:2\n")
    monkeypatch.setenv("FRAISEQL_HTTP_URL", "http://h:3")
    with published(folder, LOCAL):
        settings = Settings()
    assert (settings.dagster_url, settings.http_url) == ("http://d:2", "http://h:3")


def test_the_addresses_of_a_stopped_stack_are_removed(folder: Path) -> None:
    with published(folder, LOCAL):
        pass
    assert not (folder / NAME).exists()


def test_addresses_that_are_still_being_written_are_not_found(folder: Path) -> None:
    class Watched(UserDict[str, str]):
        """Its items are looked up when they are requested."""

        def items(self) -> ItemsView[str, str]:
            assert of_running_stack(folder) is None
            return super().items()

    with published(folder, Watched(LOCAL)) as path:
        assert of_running_stack(folder) == path


def test_the_addresses_of_a_crashed_stack_are_ignored(folder: Path) -> None:
    (folder / NAME).write_text("FRAISEQL_DAGSTER_URL=http://127.0.0.1:1\n")
    assert Settings().dagster_url == "http://127.0.0.1:3000"


def test_a_full_disk_is_reported_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fake: no test may fill the disk that it runs on.
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30 - 2**20, 2**20))
    with pytest.raises(FolderUnusable, match=r"has 1 MiB left.*Make room"), data_folder(tmp_path):
        pass


def test_the_report_of_a_full_disk_has_a_remedy() -> None:
    with pytest.raises(OSError, match="No space") as caught:
        Path("/dev/full").write_bytes(b"x")
    assert describe_error(caught.value).endswith(
        "Make room, or choose a folder on another disk with --data-dir."
    )
