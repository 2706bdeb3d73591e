"""The locks, held against pyproject.toml: what is installed is what was asked for, and checked."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DEVELOPMENT = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
PRODUCTION = [*PROJECT["dependencies"], *EXTRAS["production"]]
LOCKS = {"requirements.lock": DEVELOPMENT, "docker/requirements.lock": PRODUCTION}

lock = pytest.mark.parametrize("lock", LOCKS)


def entries(lock: str) -> list[str]:
    """Each pinned requirement with its hashes, on one line."""
    return (ROOT / lock).read_text().replace("\\\n", "").splitlines()


def pinned(lock: str) -> dict[str, str]:
    """Version by name, of what this interpreter installs."""
    versions = {}
    for entry in entries(lock):
        requirement = Requirement(entry.partition("--hash")[0])
        [specifier] = requirement.specifier
        if requirement.marker is None or requirement.marker.evaluate():
            versions[canonicalize_name(requirement.name)] = specifier.version
    return versions


@lock
def test_the_lock_satisfies_every_requirement(lock: str) -> None:
    versions = pinned(lock)
    unfit = [
        line
        for line in LOCKS[lock]
        if not Requirement(line).specifier.contains(
            versions.get(canonicalize_name(Requirement(line).name), "0.dev0"), prereleases=False
        )
    ]
    assert unfit == [], f"{lock} is older than pyproject.toml: run `make lock`"


@lock
def test_the_lock_has_an_exact_version_and_hashes_of_every_package(lock: str) -> None:
    loose = [
        entry
        for entry in entries(lock)
        if not re.fullmatch(r"\S+==\S+( ; [^#]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+", entry)
    ]
    assert loose == []


@lock
def test_the_lock_has_no_index_url(lock: str) -> None:
    assert re.findall(r"\S*(?:://|--index|--find-links|@ )\S*", (ROOT / lock).read_text()) == []


def test_the_production_lock_has_the_tested_versions() -> None:
    tested = pinned("requirements.lock")
    other = {
        name: version
        for name, version in pinned("docker/requirements.lock").items()
        if tested.get(name) != version
    }
    assert other == {}


def test_the_production_lock_has_no_embedded_servers_or_tools() -> None:
    only_here = {
        canonicalize_name(Requirement(line).name) for line in [*EXTRAS["local"], *EXTRAS["dev"]]
    }
    # The build backend, and what Dagster and the clients need themselves.
    needed = {"hatchling", "lz4", "pyyaml", "starlette", "uvicorn", "zstandard"}
    assert only_here & pinned("docker/requirements.lock").keys() <= needed


def test_every_part_has_the_version_of_the_project() -> None:
    version = PROJECT["version"]
    chart = yaml.safe_load((ROOT / "charts/fraiseql-assets/Chart.yaml").read_text())
    described = (ROOT / "clients/r/DESCRIPTION").read_text()
    found = {
        "chart": chart["version"],
        "application of the chart": chart["appVersion"],
        "Python": tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"][
            "version"
        ],
        "Rust": tomllib.loads((ROOT / "clients/rust/Cargo.toml").read_text())["package"]["version"],
        "R": re.findall(r"^Version: (\S+)$", described, re.MULTILINE)[0],
        "changelog": re.findall(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[
            0
        ],
    }
    assert found == dict.fromkeys(found, version)


def test_every_name_of_the_image_has_the_version_of_the_project() -> None:
    files = [
        ROOT / "docker-compose.yml",
        ROOT / "docs/packages.md",
        *(ROOT / "docker/launchers").iterdir(),
    ]
    named = {
        f"{path.name}: {tag}"
        for path in files
        for tag in re.findall(r"fraiseql-assets:(\d[\w.]*)", path.read_text())
    }
    assert len(named) == 4
    assert {name.rpartition(" ")[2] for name in named} == {PROJECT["version"]}
