"""The address of a plane's server, parsed from its setting; addresses as messages show them."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr


def without_credentials(url: str) -> str:
    """A URL, or several separated by commas, without users and passwords: safe to show in a
    message."""
    return re.sub(r"((?:^|[:,])//)[^/]*@", r"\1", url)


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d+)?", re.IGNORECASE)


def host_of(header: str | None) -> str | None:
    """The host in a request's `Host`, in small letters and without its port and brackets.

    None if there is no host, or anything beside it, which a URL could have and `Host` may not.
    """
    found = _HOST.fullmatch(header or "")
    return found[1].strip("[]").lower() if found else None


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The address of an HTTP server, and the user for requests to it."""

    scheme: str
    host: str
    port: int
    path: str
    """The URL path, without leading and trailing slashes."""
    user: str | None = None
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: SecretStr, *, port: int, tls_port: int) -> "ServerAddress":
        """The address in a URL; `port` and `tls_port` are the defaults."""
        parts = urlsplit(url.get_secret_value())
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "127.0.0.1",
            port=parts.port or (tls_port if parts.scheme == "https" else port),
            path=parts.path.strip("/"),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or ""),
        )

    @property
    def public(self) -> str:
        """The URL without credentials and path, safe to show in a message."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"
