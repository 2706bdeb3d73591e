"""What assets, jobs and sensors use, as Dagster's resources, which the UI shows."""

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


class FailureWebhook(Server):
    """Where failed runs are posted as JSON. Setting: `FRAISEQL_FAILURE_WEBHOOK`."""

    setting = "failure_webhook"


class RunHistory(dg.ConfigurableResource):
    """How long Dagster keeps its runs. Setting: `FRAISEQL_RUN_HISTORY_DAYS`."""

    days: int | None = Field(
        default=None, description="Days. If they are not set here, they are the setting's."
    )

    def kept_days(self) -> int:
        return get_settings().run_history_days if self.days is None else self.days


def settings_of(*servers: Server) -> Settings:
    """The settings of this process, with the addresses of the servers."""
    found = {server.setting: SecretStr(server.url) for server in servers if server.url}
    return get_settings().model_copy(update=found) if found else get_settings()


def _configured(kind: type[Server]) -> Server:
    """A server whose address the UI shows as the environment variable that holds it."""
    name = variable(kind.setting)
    return kind(url=dg.EnvVar(name)) if name in os.environ else kind()


def _history() -> RunHistory:
    name = variable("run_history_days")
    return RunHistory(days=dg.EnvVar.int(name)) if name in os.environ else RunHistory()


RESOURCES = {
    "nats": _configured(Nats),
    "clickhouse": _configured(ClickHouse),
    "elasticsearch": _configured(Elasticsearch),
    "failure_webhook": _configured(FailureWebhook),
    "run_history": _history(),
}
