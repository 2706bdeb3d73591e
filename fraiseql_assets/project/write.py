"""Writes a project for an existing FraiseQL database, from the templates of this package."""

import keyword
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from fraiseql_assets.project.discover import ProjectError

PLACEHOLDER = re.compile(r"<<(\w+)>>")
NO_DATABASE = "postgresql://user:password@127.0.0.1:5432/database"
ON_THIS_HOST = ("localhost", "127.0.0.1", "::1")
HOST_OF_CONTAINERS = "host.docker.internal"
CONTAINER_SCHEMA = "/etc/fraiseql/schema.compiled.json"
CONFIGS = "configs:\n  schema:\n    file: ${FRAISEQL_SCHEMA}\n\n"
IN_COMPOSE = ": `docker compose --profile bridge up --detach bridge`"
IN_KUBERNETES = ": set `bridge.enabled` in `values.yaml`"
"""How the bridge is started."""
TAKEN = frozenset(("fraiseql_assets", "flight_service", "local_stack", "sensors", "assets"))
READABLE_BY_THE_OWNER = 0o600

BASE = {
    ".env": "base/dot-env",
    ".gitignore": "base/dot-gitignore",
    "README.md": "base/README.md",
    "pyproject.toml": "base/pyproject.toml.txt",
    "workspace.yaml": "base/workspace.yaml",
    "<<module>>/__init__.py": "base/__init__.py.txt",
    "<<module>>/assets.py": "base/assets.py.txt",
    "<<module>>/definitions.py": "base/definitions.py.txt",
}
COMPOSE = {
    "compose.yaml": "compose/compose.yaml",
    "docker/Dockerfile": "compose/Dockerfile",
    ".dockerignore": "compose/dockerignore",
    "docker/dagster.yaml": "compose/dagster.yaml",
    "docker/locations.yaml": "compose/locations.yaml",
    "docker/nats.conf": "compose/nats.conf",
}
KUBERNETES = {
    "values.yaml": "kubernetes/values.yaml",
    "dagster-values.yaml": "kubernetes/dagster-values.yaml",
    "secret.env": "kubernetes/secret.env",
}
"""The files of a project, and the template of each."""


@dataclass(frozen=True, slots=True)
class Project:
    """What a project is made of."""

    folder: Path
    name: str
    schema: Path | None
    database_url: str | None
    kubernetes: bool = False


def write_project(project: Project) -> list[Path]:
    """Writes the files of a project. Returns them.

    Raises:
        ProjectError: a file exists already; nothing is written then.
    """
    texts = render(project)
    paths = {project.folder / name: text for name, text in texts.items()}
    present = [str(path) for path in paths if path.exists() or path.is_symlink()]
    if present:
        raise ProjectError(
            f"{', '.join(present)} would be overwritten. Name an empty folder, or move the files."
        )
    try:
        for path, text in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = READABLE_BY_THE_OWNER if path.suffix == ".env" or path.name == ".env" else 0o644
            # Never readable by others, not even for a moment; and still never overwriting.
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
                file.write(text)
    except OSError as error:
        raise ProjectError(f"{project.folder} cannot be written: {error}") from error
    return list(paths)


def render(project: Project) -> dict[str, str]:
    """The text of each file, by its path in the folder."""
    kind = "kubernetes" if project.kubernetes else "compose"
    values = _values(project)
    for part in ("files", "start"):
        values[part] = _filled(_template(f"{kind}/README-{part}.md"), values).rstrip("\n")
    chosen = BASE | (KUBERNETES if project.kubernetes else COMPOSE)
    texts = {
        _filled(path, values): _filled(_template(name), values) for path, name in chosen.items()
    }
    if not project.kubernetes:
        texts[".env"] += _filled(_template("compose/dot-env"), values)
    else:
        texts[".gitignore"] += "secret.env\n"
    return texts


def module_of(name: str) -> str:
    """The name of a Python module for a project.

    Raises:
        ProjectError: there is none.
    """
    module = re.sub(r"\W+", "_", name.lower()).strip("_")
    if not module or not module.isidentifier() or keyword.iskeyword(module):
        raise ProjectError(
            f"{name!r} gives no name of a Python module. Name the project with --name."
        )
    return f"{module}_project" if module in TAKEN else module


def _values(project: Project) -> dict[str, str]:
    module = module_of(project.name)
    dashed = module.replace("_", "-")
    database = project.database_url or NO_DATABASE
    has_schema = project.schema is not None
    schema = os.path.relpath(project.schema, project.folder) if project.schema else ""
    for what, text in (("the schema's path", schema), ("the database's address", database)):
        if re.search(r"['\n]", text):
            raise ProjectError(f"{what} holds a quote or a line break: write %27 for a quote.")
    return {
        "module": module,
        "project": dashed,
        "distribution": dashed,
        "version": version("fraiseql-assets"),
        "schema": schema,
        "database_url": database,
        "container_database_url": as_container_sees(database),
        "container_schema": CONTAINER_SCHEMA if has_schema else '""',
        "configs": f"[{{source: schema, target: {CONTAINER_SCHEMA}}}]" if has_schema else "[]",
        "config_files": CONFIGS if has_schema else "",
        "bridge": IN_KUBERNETES if project.kubernetes else IN_COMPOSE,
        **{
            name: secrets.token_hex(32)
            for name in (
                "nats_password",
                "clickhouse_password",
                "elasticsearch_password",
                "dagster_password",
                "dagster_database_password",
                "jwt_secret",
            )
        },
    }


def as_container_sees(url: str) -> str:
    """The address of a database on this host, from within a container."""
    parts = urlsplit(url)
    if parts.hostname not in ON_THIS_HOST:
        return url
    user, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{at}{HOST_OF_CONTAINERS}{port}"))


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _template(name: str) -> str:
    return files("fraiseql_assets.project").joinpath("templates", *name.split("/")).read_text()
