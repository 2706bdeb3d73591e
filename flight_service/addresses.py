"""The address that the service listens on, and the locations that clients get."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from pyarrow import flight

REUSE_CONNECTION = "arrow-flight-reuse-connection://?"
"""The location that means the connection of the response."""


TLS_SCHEMES = ("grpc+tls", "https")
EVERY_INTERFACE = ("0.0.0.0", "::")


class AddressError(Exception):
    """The service cannot listen on an address; the message names the setting and the reason."""


@dataclass(frozen=True, slots=True)
class Address:
    """The host and port of a setting. Port 0 means a free port."""

    scheme: str
    host: str
    port: int
    variable: str

    @classmethod
    def parse(cls, url: str, variable: str, *schemes: str) -> "Address":
        """The address in a URL such as `grpc://127.0.0.1:50051`.

        Raises:
            AddressError: it has another scheme, or lacks host or port.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in schemes or not host or port is None:
            raise AddressError(
                f"{variable} is {url!r}. Write {schemes[0]}://host:port to listen there."
            )
        return cls(parts.scheme, host, port, variable)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        """Whether connections to it are encrypted."""
        return self.scheme in TLS_SCHEMES

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it. False for a host that cannot be resolved."""
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except OSError:
            return False
        hosts = [str(address[0]).partition("%")[0] for *_, address in found]
        return all(ipaddress.ip_address(host).is_loopback for host in hosts)

    def listen(self) -> socket.socket:
        """A socket that is bound to the address.

        Raises:
            AddressError: the port is taken, or the host is not this machine's.
        """
        try:
            family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][0]
            bound = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
            bound.listen(128)
        except OSError as error:
            bound.close()
            raise self._unusable(error) from error
        return bound

    def _unusable(self, error: OSError) -> AddressError:
        return AddressError(
            f"Cannot listen on {self}: {error.strerror}. End what listens there, or set "
            f"{self.variable} to another address."
        )

    def with_port(self, port: int) -> "Address":
        """The same address with another port."""
        return Address(self.scheme, self.host, port, self.variable)


def locations(address: Address) -> list[flight.Location]:
    """The locations of an endpoint.

    The address comes first, because simple clients connect to the first location. Clients that know
    the second keep their connection. A service that listens on all interfaces does not know its
    public name, so its endpoints have only the second.
    """
    reuse = flight.Location(REUSE_CONNECTION)
    if address.host in EVERY_INTERFACE:
        return [reuse]
    return [flight.Location(str(address)), reuse]
