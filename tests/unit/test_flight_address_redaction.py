"""What messages of inner servers say to clients."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from flight_service.address_redaction import without_addresses
from fraiseql_assets.analytics.reader import AnalyticsReader
from fraiseql_assets.operational.reader import OperationalReader
from fraiseql_assets.planes import PlaneError
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.connection import LogError
from fraiseql_assets.stream.log import Log

HOST = "inner-db.invalid"


TOLD = {
    "ClickHouse at http://10.0.0.7:8123 does not answer.": "ClickHouse does not answer.",
    "NATS at nats://a.inner:4222, nats://b.inner:4222 is down.": "NATS is down.",
    "FRAISEQL_X names https://u:p@h.example/path, it is down": "FRAISEQL_X names …, it is down",
    "Connect call failed ('127.0.0.1', 4222)": "Connect call failed (…)",
    "Connect call failed ('::1', 4222, 0, 0)": "Connect call failed (…)",
    "HTTPConnectionPool(host='db', port=9200): down": "HTTPConnectionPool(host=…): down",
    "Failed to resolve 'db.inner' (no such host)": "Failed to resolve …",
    'connection to server at "db" (10.0.0.1), port 5432 failed': "connection to server at … failed",
    "no route to [fd00::12]:9200": "no route to …",
    "no route to elasticsearch:9200.": "no route to ….",
    "Code: 60. No table at 12:30:45.": "Code: 60. No table at 12:30:45.",
    "Run `fraiseql-assets setup`.": "Run `fraiseql-assets setup`.",
}


@pytest.mark.parametrize(("text", "told"), TOLD.items())
def test_messages_have_no_addresses(text: str, told: str) -> None:
    assert without_addresses(text) == told


def log_bounds(settings: Settings) -> Any:
    with Log(settings, name="tests", reconnect_seconds=0) as log:
        return log.bounds()


ASKED: dict[str, Callable[[Settings], Any]] = {
    "ClickHouse": lambda settings: AnalyticsReader(settings).partitions("analytics/events"),
    "Elasticsearch": lambda settings: OperationalReader(settings).partitions("operational/events"),
    "NATS": log_bounds,
}


@pytest.mark.parametrize("host", [HOST, "127.0.0.1"])
@pytest.mark.parametrize("server", ASKED)
def test_messages_have_no_text_of_the_server_clients(server: str, host: str) -> None:
    urls = {
        "clickhouse_url": SecretStr(f"http://someone:password@{host}:1/x"),
        "elasticsearch_url": SecretStr(f"http://someone:password@{host}:1"),
        "nats_url": SecretStr(f"nats://someone:password@{host}:1"),
    }
    settings = Settings.model_validate({**urls, "probe_timeout_seconds": 1.0})
    with pytest.raises((PlaneError, LogError)) as caught:
        ASKED[server](settings)
    assert host in str(caught.value)
    told = without_addresses(str(caught.value))
    assert told.startswith(f"{server} does not answer")
    assert host not in told
    assert "someone" not in told
    assert "port" not in told
