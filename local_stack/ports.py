"""The ports of a local stack, by the names of the settings that hold their addresses."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from pydantic import SecretStr

from fraiseql_assets.settings import Settings
from local_stack.probes import HOST
from local_stack.programs import StackError

TITLES = {
    "nats_url": "NATS",
    "clickhouse_url": "ClickHouse",
    "elasticsearch_url": "Elasticsearch",
    "database_url": "PostgreSQL",
    "dagster_url": "Dagster",
    "flight_url": "Flight",
    "http_url": "Flight over HTTP",
}
"""The name of the server at each address, for messages."""


class PortTaken(StackError):
    """Another program listens on a port of the stack."""


SERVES = {"clickhouse_url": "analytics", "elasticsearch_url": "operational"}
"""The plane that a server belongs to."""


def default_ports(settings: Settings) -> dict[str, int]:
    """The ports of the settings' defaults, without those of planes that are switched off.

    Raises:
        PortTaken: other programs listen on some of them. The message names each.
    """
    ports = {
        name: _port_of(Settings.model_fields[name].default)
        for name in TITLES
        if name not in SERVES or settings.has_plane(SERVES[name])
    }
    taken = [f"{port} ({TITLES[name]})" for name, port in ports.items() if _is_taken(port)]
    if taken:
        raise PortTaken(
            f"Other programs listen on {'port' if len(taken) == 1 else 'ports'} "
            f"{', '.join(taken)}. Stop them, or let free ports be chosen with --ports auto."
        )
    return ports


def free_ports() -> dict[str, int]:
    """Ports on which no program listens now."""
    return dict(zip(TITLES, distinct_free_ports(len(TITLES)), strict=True))


def distinct_free_ports(count: int) -> list[int]:
    """`count` different ports on which no program listens now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def _port_of(default: str | SecretStr) -> int:
    url = default.get_secret_value() if isinstance(default, SecretStr) else default
    port = urlsplit(url).port
    assert port is not None
    return port


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set it too, so that old connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False
