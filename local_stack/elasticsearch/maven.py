"""Access to Maven Central, through the mirror and local repository of the user's Maven settings."""

import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit
from xml.etree import ElementTree

from jgo.maven import MavenContext

SECONDS = 20
_ENVIRONMENT = re.compile(r"\$\{env\.([A-Za-z0-9_]+)\}")


def central(downloads: Path) -> MavenContext:
    """Maven Central. Downloads go to the folder; jars in the user's local repository are reused."""
    settings = _Settings.of_user()
    mirror = settings.mirror_of_central()
    return MavenContext(
        repo_cache=downloads,
        local_repos=[settings.local_repository()],
        remote_repos={"central": mirror} if mirror else None,
        timeout=SECONDS,
    )


class _Settings:
    """A user's `settings.xml`."""

    def __init__(self, root: ElementTree.Element) -> None:
        for element in root.iter():
            # With or without a namespace, elements have the same names.
            element.tag = element.tag.rpartition("}")[2]
        self._root = root

    @classmethod
    def of_user(cls) -> "_Settings":
        try:
            return cls(ElementTree.parse(Path.home() / ".m2" / "settings.xml").getroot())
        except FileNotFoundError:
            return cls(ElementTree.Element("settings"))

    def local_repository(self) -> Path:
        """The folder of Maven's local repository."""
        named = os.environ.get("M2_REPO") or _text(self._root, "localRepository")
        return Path(named).expanduser() if named else Path.home() / ".m2" / "repository"

    def mirror_of_central(self) -> str | None:
        """The address of the mirror, with its credentials; None without one."""
        for mirror in self._root.iterfind("mirrors/mirror"):
            if _is_of_central(_text(mirror, "mirrorOf")):
                return self._with_credentials(_text(mirror, "url"), _text(mirror, "id"))
        return None

    def _with_credentials(self, url: str, server_id: str) -> str:
        parts = urlsplit(url.rstrip("/"))
        for server in self._root.iterfind("servers/server"):
            user = _text(server, "username")
            if _text(server, "id") == server_id and user:
                secret = quote(_text(server, "password"), safe="")
                parts = parts._replace(netloc=f"{quote(user, safe='')}:{secret}@{parts.netloc}")
        return urlunsplit(parts)


def _is_of_central(pattern: str) -> bool:
    names = {name.strip() for name in pattern.split(",")}
    return "!central" not in names and bool(names & {"central", "*", "external:*"})


def _text(element: ElementTree.Element, name: str) -> str:
    found = (element.findtext(name) or "").strip()
    return _ENVIRONMENT.sub(lambda match: os.environ.get(match[1], ""), found)
