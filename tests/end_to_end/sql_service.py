"""A Flight service with both catalogues filled, and clients of Flight SQL, for its tests."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi as flightsql
import graphql_shop as shop
import jwt
import pyarrow as pa
from flights import Service, events_of, fill, serving
from pydantic import SecretStr

from fraiseql_assets.analytics.client import connect
from fraiseql_assets.analytics.plane import AnalyticsPlane
from fraiseql_assets.settings import Settings

DAY = datetime.now(UTC).date() - timedelta(days=3)
ROWS = 5000
SECRET = "a secret of at least thirty-two characters"
AUTHORIZATION = "adbc.flight.sql.authorization_header"
COOKIES = "adbc.flight.sql.rpc.with_cookie_middleware"

Start = Callable[..., AbstractContextManager[Service]]


@contextmanager
def sql_service(
    clickhouse_url: str, database_url: str, folder: Path, *, start: Start = serving, **changes: Any
) -> Iterator[tuple[Service, pa.Table]]:
    """A service over its own ClickHouse database, which holds the events, and the shop's schema.

    `start` starts it, with its settings.
    """
    name = f"test_{secrets.token_hex(4)}"
    settings = Settings(
        clickhouse_url=SecretStr(f"{clickhouse_url.removesuffix('/default')}/{name}"),
        database_url=SecretStr(database_url),
        schema_path=changes.pop("schema_path", None) or shop.write_schema(folder),
        operational_plane=False,
        request_log=False,
        **changes,
    )
    events = events_of(DAY, ROWS, first=1)
    plane = AnalyticsPlane(settings)
    plane.setup()
    fill(plane, settings, DAY, events)
    plane.close()
    try:
        with start(settings) as service:
            yield service, events
    finally:
        client = connect(settings, timeout=30, database="default")
        client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        client.close()


def store(service: Service, day: date, count: int, first: int) -> pa.Table:
    """Stores events of a day in the analytics plane of a service."""
    plane = AnalyticsPlane(service.settings)
    events = events_of(day, count, first=first)
    fill(plane, service.settings, day, events)
    plane.close()
    return events


def adbc(service: Service, token: str | None = None, **options: str) -> flightsql.Connection:
    """An ADBC connection to the service."""
    if token is not None:
        options[AUTHORIZATION] = f"Bearer {token}"
    return flightsql.connect(service.settings.flight_url, db_kwargs=dict(options), autocommit=True)


def token(**claims: Any) -> str:
    """A token with these claims, for the service's secret."""
    valid = {"sub": "someone", "exp": int(time.time()) + 3600}
    return jwt.encode({**valid, **claims}, SECRET, algorithm="HS256")
