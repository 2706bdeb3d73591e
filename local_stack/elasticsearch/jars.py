"""Downloads an engine's jars from Maven Central, verifies them, and lays them out as a home.

The lock lists each jar with its checksum and contains no address. The home is in the user's cache
and is created completely or not at all. All stacks on this machine share it.
"""

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from local_stack.elasticsearch.engines import Engine, Plugin
from local_stack.programs import StackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

AT_ONCE = 8

DESCRIPTOR = """\
name={name}
description={name}
version={version}
{engine}.version={version}
java.version=17
classname={class_name}
"""

Lock = Mapping[str, Mapping[str, str]]
"""By folder of the home, the SHA-256 of each jar by its coordinate."""


class EngineMissing(StackError):
    """The engine is not on this machine and cannot be downloaded."""


def home_of(engine: Engine) -> Path:
    """The path of the engine's home, whether it exists or not."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(_lock_text(engine).encode()).hexdigest()[:12]
    return Path(cache) / "fraiseql-assets" / f"{engine.name}-{engine.version}-{digest}"


def ensure_home(engine: Engine) -> Path:
    """The engine's home, downloaded if it is missing.

    Raises:
        EngineMissing: it cannot be downloaded. The message says why and what to do.
    """
    home = home_of(engine)
    if home.exists():
        return home
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, prefix="unfinished-") as folder:
            unfinished = Path(folder) / "home"
            _lay_out(engine, unfinished, Path(folder) / "downloads")
            # Another process may have been faster.
            if not home.exists():
                unfinished.rename(home)
    except OSError as error:
        raise _missing(engine, f"{error.__class__.__name__}: {error}") from error
    return home


def read_lock(engine: Engine) -> Lock:
    """The jars of the engine, with their checksums."""
    return tomllib.loads(_lock_text(engine))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lock_text(engine: Engine) -> str:
    return files("local_stack.elasticsearch").joinpath(f"{engine.name}.lock.toml").read_text()


def _lay_out(engine: Engine, home: Path, downloads: Path) -> None:
    from local_stack.elasticsearch.maven import central

    fetch = partial(_fetched, engine, central(downloads))
    for folder, jars in read_lock(engine).items():
        (home / folder).mkdir(parents=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for path in pool.map(fetch, jars.keys(), jars.values()):
                    shutil.copy(path, home / folder)
            except EngineMissing:
                # Without this jar the others are not needed.
                pool.shutdown(cancel_futures=True)
                raise
    (home / "plugins").mkdir()
    for name, plugin in engine.plugins.items():
        descriptor = home / "modules" / name / "plugin-descriptor.properties"
        descriptor.write_text(_described(engine, name, plugin))


def _fetched(engine: Engine, maven: "MavenContext", coordinate: str, digest: str) -> Path:
    """A jar with this checksum."""
    artifact = maven.create_dependency(coordinate).artifact
    try:
        path = artifact.resolve()
        if sha256(path) != digest and path != artifact.cached_path:
            # The copy in Maven's local repository is broken.
            path = maven.resolver.download(artifact)
    except (RuntimeError, OSError) as error:
        raise _missing(engine, f"{coordinate}: {error.__class__.__name__}") from error
    if path is None or sha256(path) != digest:
        raise _missing(engine, f"{coordinate} does not have the checksum of the lock")
    return path


def _described(engine: Engine, name: str, plugin: Plugin) -> str:
    text = DESCRIPTOR.format(
        name=name, version=engine.version, engine=engine.name, class_name=plugin.class_name
    )
    return f"{text}modulename={plugin.module_name}\n" if plugin.module_name else text


def _missing(engine: Engine, why: str) -> EngineMissing:
    return EngineMissing(
        f"{engine.title} {engine.version} cannot be fetched from Maven Central ({why}). Check the "
        "network, or name a mirror in ~/.m2/settings.xml."
    )
