"""The servers as Dagster's resources: what the assets use, visible in the UI."""

import os
from typing import ClassVar

import dagster as dg
from pydantic import Field, SecretStr

from fraiseql_assets.settings import Settings, get_settings, variable


class Server(dg.ConfigurableResource):
    """A server. Its address is a setting, unless the resource is configured with another."""

    setting: ClassVar[str]

    url: str | None = Field(
        default=None, description="The address. If it is not set here, it is the setting's."
    )


class Nats(Server):
    """NATS JetStream, which holds the log. Setting: `FRAISEQL_NATS_URL`."""

    setting = "nats_url"


class ClickHouse(Server):
    """ClickHouse, the analytics plane. Setting: `FRAISEQL_CLICKHOUSE_URL`."""

    setting = "clickhouse_url"


class Elasticsearch(Server):
    """Elasticsearch or OpenSearch, the operational plane. Setting: `FRAISEQL_ELASTICSEARCH_URL`."""

    setting = "elasticsearch_url"


def settings_of(*servers: Server) -> Settings:
    """The settings of this process, with the addresses of the servers."""
    found = {server.setting: SecretStr(server.url) for server in servers if server.url}
    return get_settings().model_copy(update=found) if found else get_settings()


def _configured(kind: type[Server]) -> Server:
    """A server whose address the UI shows as the environment variable that holds it."""
    name = variable(kind.setting)
    return kind(url=dg.EnvVar(name)) if name in os.environ else kind()


RESOURCES = {
    "nats": _configured(Nats),
    "clickhouse": _configured(ClickHouse),
    "elasticsearch": _configured(Elasticsearch),
}
