"""The search engines' jars: fetched as the user's Maven would, and held against the lock."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local_stack.elasticsearch import jars
from local_stack.elasticsearch.engines import ELASTICSEARCH, ENGINES, Engine
from local_stack.elasticsearch.jars import EngineMissing, ensure_home, home_of, read_lock, sha256

JAR = "org.example:thing:1.0"
PATH = Path("org/example/thing/1.0/thing-1.0.jar")
ENGINE = replace(ELASTICSEARCH, plugins={})


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A Maven repository with one jar: its folder and its address."""
    folder = tmp_path / "repository"
    (folder / PATH).parent.mkdir(parents=True)
    (folder / PATH).write_bytes(b"a jar")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, where no Maven has been."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("M2_REPO", raising=False)
    return tmp_path


def settings_xml(home: Path, content: str) -> None:
    (home / ".m2").mkdir()
    (home / ".m2" / "settings.xml").write_text(f"<settings>{content}</settings>")


def mirror(url: str, of: str = "central") -> str:
    return (
        f"<mirrors><mirror><id>m</id><mirrorOf>{of}</mirrorOf><url>{url}</url></mirror></mirrors>"
    )


@pytest.fixture
def locked(
    repository: tuple[Path, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, str]:
    """The repository, whose jar is all that the lock has."""
    folder, url = repository
    lock = f'["lib"]\n"{JAR}" = "{sha256(folder / PATH)}"\n'
    monkeypatch.setattr(jars, "_lock_text", lambda _: lock)
    return folder, url


@pytest.mark.parametrize("of", ["central", "*", "external:*", "other, central"])
def test_jars_are_downloaded_through_the_configured_maven_mirror(
    locked: tuple[Path, str], home: Path, of: str
) -> None:
    settings_xml(home, mirror(locked[1], of))
    assert (ensure_home(ENGINE) / "lib" / "thing-1.0.jar").read_bytes() == b"a jar"


@pytest.mark.parametrize("of", ["!central,*", "another"])
def test_a_mirror_of_another_repository_is_not_used(
    locked: tuple[Path, str], home: Path, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_xml(home, mirror(locked[1], of))
    monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"central": "http://127.0.0.1:1"})
    with pytest.raises(EngineMissing):
        ensure_home(ENGINE)


def test_a_jar_in_the_local_repository_is_not_downloaded(
    locked: tuple[Path, str], home: Path
) -> None:
    folder, _ = locked
    settings_xml(home, f"<localRepository>{folder}</localRepository>{mirror('http://127.0.0.1:1')}")
    assert (ensure_home(ENGINE) / "lib" / "thing-1.0.jar").read_bytes() == b"a jar"


def test_a_corrupt_jar_in_the_local_repository_is_downloaded(
    locked: tuple[Path, str], home: Path
) -> None:
    broken = home / ".m2" / "repository" / PATH
    settings_xml(home, mirror(locked[1]))
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"half a j")
    assert (ensure_home(ENGINE) / "lib" / "thing-1.0.jar").read_bytes() == b"a jar"
    assert broken.read_bytes() == b"half a j"


def test_a_jar_with_another_checksum_is_refused_and_nothing_is_left(
    locked: tuple[Path, str], home: Path
) -> None:
    folder, url = locked
    (folder / PATH).write_bytes(b"another jar")
    settings_xml(home, mirror(url))
    with pytest.raises(EngineMissing, match=rf"{JAR} does not have the checksum"):
        ensure_home(ENGINE)
    assert not home_of(ENGINE).exists()
    assert list(home_of(ENGINE).parent.iterdir()) == []


def test_an_unreachable_repository_is_a_one_line_error(
    locked: tuple[Path, str], home: Path
) -> None:
    settings_xml(home, mirror("http://127.0.0.1:1"))
    with pytest.raises(EngineMissing, match=r"Elasticsearch 8\.15\.5 cannot be fetched.*mirror"):
        ensure_home(ENGINE)


def test_an_existing_home_needs_no_network(locked: tuple[Path, str], home: Path) -> None:
    settings_xml(home, mirror(locked[1]))
    first = ensure_home(ENGINE)
    (home / ".m2" / "settings.xml").unlink()
    assert ensure_home(ENGINE) == first


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_a_lock_has_checksums_and_no_url(engine: Engine) -> None:
    for folder, found in read_lock(engine).items():
        assert folder.split("/")[0] in ("lib", "modules")
        for coordinate, digest in found.items():
            assert coordinate.count(":") == 2
            assert len(digest) == 64
            assert int(digest, 16)
    assert "://" not in jars._lock_text(engine)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_a_lock_has_all_jars_of_the_engine(engine: Engine) -> None:
    lock = read_lock(engine)
    every = {coordinate for found in lock.values() for coordinate in found}
    wanted = {
        *engine.versioned,
        *(engine.at_version(plugin.coordinate) for plugin in engine.plugins.values()),
    }
    assert wanted <= every
    assert {"lib", *(f"modules/{name}" for name in engine.plugins)} == lock.keys()
