"""Which NATS servers to connect to, as which user, and which certificates to trust.

Both clients of the log use this module: the asynchronous library and the blocking reader
(`wire.py`). A server that one of them can reach is reachable for the other too.
"""

import base64
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from fraiseql_assets.addresses import without_credentials

DEFAULT_PORT = 4222
EXAMPLE = "nats://[user:password@]host:port"
PATTERN = r"-----BEGIN {}-----\s*(\S+)\s*------END {}------"


class NatsOptionError(ValueError):
    """A setting of the connection cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class NatsServer:
    """The address of a server."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """Servers of one cluster, and how a client authenticates to any of them."""

    servers: tuple[NatsServer, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    credentials_file: Path | None = None
    nkey_file: Path | None = None

    @classmethod
    def read(
        cls,
        urls: str,
        *,
        ca_file: Path | None = None,
        credentials_file: Path | None = None,
        nkey_file: Path | None = None,
    ) -> Self:
        """Parses comma-separated addresses and checks the files.

        Raises:
            NatsOptionError: an address or a file cannot be used.
        """
        parsed = [_parse(url.strip()) for url in urls.split(",")]
        logins = {login for _, login in parsed if any(login)}
        if len(logins) > 1:
            raise NatsOptionError("FRAISEQL_NATS_URL: the servers of one cluster take one user")
        user, password, token = logins.pop() if logins else (None, None, None)
        options = cls(
            tuple(server for server, _ in parsed),
            user,
            password,
            token,
            ca_file,
            credentials_file,
            nkey_file,
        )
        options.check_files()
        return options

    def __str__(self) -> str:
        """The addresses without credentials, safe to show in a message."""
        return ",".join(map(str, self.servers))

    def check_files(self) -> None:
        """Reads every file once.

        Raises:
            NatsOptionError: a file is missing or has unexpected contents.
        """
        if self.credentials_file and self.nkey_file:
            raise NatsOptionError(
                "FRAISEQL_NATS_CREDENTIALS_FILE and FRAISEQL_NATS_NKEY_FILE: set only one of them"
            )
        self.authentication(nonce="")
        if self.ca_file:
            self.tls_context()

    def tls_context(self) -> ssl.SSLContext:
        """A context that trusts the authorities of the CA file, or else those of the system.

        Raises:
            NatsOptionError: the CA file cannot be used.
        """
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NatsOptionError(
                f"FRAISEQL_NATS_CA_FILE: {self.ca_file} holds no certificates ({error})"
            ) from error

    def authentication(self, *, nonce: str) -> dict[str, str]:
        """The fields of a CONNECT message that respond to the server's `nonce`.

        Raises:
            NatsOptionError: the credentials file or the nkey file cannot be used.
        """
        if self.credentials_file:
            name = "FRAISEQL_NATS_CREDENTIALS_FILE"
            text = _read(self.credentials_file, name)
            jwt, seed = _section(text, "NATS USER JWT"), _section(text, "USER NKEY SEED")
            if not (jwt and seed):
                raise NatsOptionError(
                    f"{name}: {self.credentials_file} holds no user JWT with its nkey seed"
                )
            return {"jwt": jwt, "sig": _sign(seed, nonce, name)[1]}
        if self.nkey_file:
            name = "FRAISEQL_NATS_NKEY_FILE"
            public_key, signature = _sign(_read(self.nkey_file, name).strip(), nonce, name)
            return {"nkey": public_key, "sig": signature}
        if self.token is not None:
            return {"auth_token": self.token}
        if self.user is not None:
            return {"user": self.user, "pass": self.password or ""}
        return {}


def _parse(url: str) -> tuple[NatsServer, tuple[str | None, str | None, str | None]]:
    """A server, and the user, password and token in its address."""
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise NatsOptionError(_bad(url, str(error))) from error
    if parts.scheme not in ("nats", "tls"):
        raise NatsOptionError(_bad(url, "it does not begin with nats:// or tls://"))
    if not parts.hostname:
        raise NatsOptionError(_bad(url, "it names no host"))
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise NatsOptionError(_bad(url, "nothing may follow the port"))
    server = NatsServer(parts.hostname, port, parts.scheme == "tls")
    user = None if parts.username is None else unquote(parts.username)
    if parts.password is None:
        # A token takes the position of the user, without a password.
        return server, (None, None, user)
    return server, (user, unquote(parts.password), None)


def _bad(url: str, why: str) -> str:
    shown = without_credentials(url)
    return f"FRAISEQL_NATS_URL: {shown!r} is no NATS address, {why}. Write {EXAMPLE}"


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise NatsOptionError(f"{name}: {path} cannot be read ({error})") from error


def _section(text: str, title: str) -> str | None:
    found = re.search(PATTERN.format(title, title), text)
    return found.group(1) if found else None


def _sign(seed: str, nonce: str, name: str) -> tuple[str, str]:
    """The public key of a seed, and the signature of a nonce with it."""
    import nkeys

    try:
        pair = nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError) as error:
        raise NatsOptionError(f"{name}: the file holds no nkey seed ({error!r})") from error
    signature = base64.b64encode(pair.sign(nonce.encode())).decode()
    return bytes(pair.public_key).decode(), signature
