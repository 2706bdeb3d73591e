"""Builds the documentation as a site: `python docs/site.py`, into `site/`.

The pages are those of this folder, the README, the README of each client, the changelog and the
benchmark results. Links between them are adapted; links to other files of the repository become the
file's path. A page that no entry of the navigation lists, a link to a page or heading that does not
exist, and a picture that does not exist are errors.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = ROOT / "site"
LINK = re.compile(r"(?<!\\)(!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)

NAVIGATION: dict[str, list[str]] = {
    "Start here": ["start.md", "concepts.md", "own-project.md", "bridge.md", "demo.md"],
    "Migrate": ["migration.md", "comparison.md"],
    "Clients": [
        "recipes.md", "flight.md", "writing.md", "flight-sql.md", "graphql.md", "search.md",
    ],
    "Reference": ["reference.md", "settings.md", "schema-evolution.md"],
    "Operate": [
        "operations.md", "monitoring.md", "runbook.md", "tuning.md",
        "scaling.md", "upgrading.md", "backup.md", "packages.md",
        "kubernetes.md", "request-log.md",
    ],
    "Understand": [
        "architecture.md", "guarantees.md", "planes.md", "performance.md", "run-start.md",
        "security.md", "identity.md",
    ],
}  # fmt: skip
"""The pages of this folder, in the order of the site. A client's README joins its section."""

ELSEWHERE = {
    ROOT / "README.md": "index.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "benchmarks" / "RESULTS.md": "results.md",
}


class SiteError(Exception):
    """The site cannot be built; the message says which page is at fault."""


def pages() -> dict[Path, str]:
    """Every page, and its path in the site."""
    clients = sorted((ROOT / "clients").glob("*/README.md"))
    return {
        **ELSEWHERE,
        **{path: path.name for path in sorted(DOCS.glob("*.md"))},
        **{path: f"clients/{path.parent.name}.md" for path in clients},
    }


def configuration(found: dict[Path, str]) -> dict[str, Any]:
    """The configuration of the site.

    Raises:
        SiteError: a page is missing from the navigation, or does not exist.
    """
    listed = [name for section in NAVIGATION.values() for name in section]
    here = {path.name for path in found if path.parent == DOCS}
    if wrong := sorted(set(listed) ^ here):
        raise SiteError(f"the navigation in docs/site.py and docs/ differ in {', '.join(wrong)}")
    clients = [name for name in found.values() if name.startswith("clients/")]
    sections = {
        title: [*clients, *names] if title == "Clients" else names
        for title, names in NAVIGATION.items()
    }
    sections["Understand"] = [*sections["Understand"], "results.md", "changelog.md"]
    return {
        "site_name": "fraiseql-assets",
        "docs_dir": "pages",
        "site_dir": "site",
        "nav": ["index.md", *({title: names} for title, names in sections.items())],
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.sections", "navigation.top", "content.code.copy"],
        },
        "markdown_extensions": [
            "tables",
            "pymdownx.highlight",
            "pymdownx.superfences",
            {"toc": {"permalink": True}},
        ],
    }


def adapted(source: Path, text: str, found: dict[Path, str]) -> str:
    """The text of a page, with its links as they are in the site.

    Raises:
        SiteError: a link leads to a file that does not exist.
    """
    fenced = [match.span() for match in CODE.finditer(text)]

    def replaced(link: re.Match[str]) -> str:
        target, _, heading = link["target"].partition("#")
        is_code = any(start <= link.start() < end for start, end in fenced)
        if is_code or not target or re.match(r"[a-z]+:", target):
            return link[0]
        path = (source.parent / target).resolve()
        if not path.exists():
            raise SiteError(f"{source.relative_to(ROOT)} links {target}, which does not exist")
        if path in found:
            page = Path(found[source]).parent
            place = os.path.relpath(found[path], page) + (f"#{heading}" if heading else "")
            return f"[{link['text']}]({place})"
        if link[1]:
            return f"![{link['text']}]({os.path.relpath(path.name, Path(found[source]).parent)})"
        return f"{link['text']} (`{path.relative_to(ROOT)}`)"

    return LINK.sub(replaced, text)


def pictures(found: dict[Path, str]) -> Iterator[Path]:
    """The pictures that pages show."""
    for source in found:
        for link in LINK.finditer(source.read_text()):
            if link[1] and not re.match(r"[a-z]+:", link["target"]):
                yield (source.parent / link["target"]).resolve()


def stage(folder: Path) -> None:
    """Writes the site's source into a folder.

    Raises:
        SiteError: a page or a link is at fault.
    """
    found = pages()
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(configuration(found), sort_keys=False))
    for source, name in found.items():
        path = folder / "pages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(adapted(source, source.read_text(), found))
    for picture in set(pictures(found)):
        shutil.copy(picture, folder / "pages" / picture.name)


def build() -> None:
    """Builds the site; a warning is an error.

    Raises:
        SiteError: a page or a link is at fault.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        stage(folder)
        program = f"{sysconfig.get_path('scripts')}/zensical"
        command = [program, "build", "--strict", "--config-file", "mkdocs.yml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SiteError(f"{done.stdout}{done.stderr.partition('Traceback')[0]}")
        shutil.rmtree(SITE, ignore_errors=True)
        shutil.move(folder / "site", SITE)


if __name__ == "__main__":
    try:
        build()
    except SiteError as error:
        sys.exit(f"The site cannot be built: {error}")
