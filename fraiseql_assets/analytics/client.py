"""The ClickHouse client: connections, SQL files, and driver errors as plane errors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from fraiseql_assets.addresses import ServerAddress
from fraiseql_assets.one_line import one_line
from fraiseql_assets.planes import PlaneError, PlaneNotSetUp, PlaneUnavailable
from fraiseql_assets.settings import Settings

# The client also logs its errors. They contain the same text and are reported once.
logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)

# Code 47, an unknown column, means that a newer release has added the column.
_NOT_SET_UP = ("Code: 60.", "Code: 81.", "Code: 47.")
_REFUSED_CREDENTIALS = ("Code: 516.", "Code: 192.", "Code: 193.", "Code: 194.", "Code: 497.")
_OVERLOADED = ("Code: 202.", "Code: 241.", "Code: 243.", "Code: 252.", "Code: 159.")


@cache
def sql(name: str, **names: object) -> str:
    """The statement in `sql/<name>.sql`, with `${…}` filled in.

    Pass only the project's own names and numbers; bind values as parameters.
    """
    return Template(
        files("fraiseql_assets.analytics").joinpath("sql", f"{name}.sql").read_text()
    ).substitute(names)


def database_of(settings: Settings) -> str:
    """The database that FRAISEQL_CLICKHOUSE_URL names, `default` when it names none."""
    return _address(settings).path or "default"


def address(settings: Settings) -> str:
    """The address of ClickHouse, without credentials."""
    return _address(settings).public


def _address(settings: Settings) -> ServerAddress:
    return ServerAddress.parse(settings.clickhouse_url, port=8123, tls_port=8443)


def connect(
    settings: Settings,
    *,
    timeout: float,
    database: str | None = None,
    defaults: dict[str, Any] | None = None,
) -> Client:
    """A client of the plane's server. Safe to share between threads: it holds no session.

    `defaults` are settings of ClickHouse for all of its statements.

    Raises:
        PlaneUnavailable: the server does not answer within `timeout` seconds, or refuses the
            credentials.
        PlaneNotSetUp: the database is missing.
    """
    server = _address(settings)
    with translated(settings):
        return clickhouse_connect.get_client(
            host=server.host,
            port=server.port,
            secure=server.is_tls,
            username=server.user or "default",
            password=server.password,
            database=database or database_of(settings),
            connect_timeout=int(max(1, min(timeout, settings.probe_timeout_seconds))),
            send_receive_timeout=int(max(1, timeout)),
            query_retries=0,
            compress=False,
            autogenerate_session_id=False,
            client_name="fraiseql-assets",
            settings=defaults,
        )


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turns driver errors into plane errors that name the server and the remedy."""
    where = f"ClickHouse at {address(settings)}"
    try:
        yield
    except DatabaseError as error:
        text = one_line(error)
        if "Code: " not in text:
            # Without a code it is a failed connection, not a response of the server.
            raise _unanswered(where, text) from error
        if any(code in text for code in _REFUSED_CREDENTIALS):
            raise PlaneUnavailable(
                f"{where} refuses the credentials. "
                "Check the user and password in FRAISEQL_CLICKHOUSE_URL."
            ) from error
        if any(code in text for code in _NOT_SET_UP):
            raise PlaneNotSetUp(
                f"{where} lacks tables, or columns of them. Run `fraiseql-assets setup`. ({text})"
            ) from error
        if any(code in text for code in _OVERLOADED):
            raise PlaneUnavailable(f"{where} has no room for this now: {text}") from error
        raise PlaneError(f"{where} refuses: {text}") from error
    except (ClickHouseError, OSError) as error:
        raise _unanswered(where, one_line(error)) from error


def _unanswered(where: str, text: str) -> PlaneUnavailable:
    return PlaneUnavailable(
        f"{where} does not answer. Check that the server runs and that FRAISEQL_CLICKHOUSE_URL "
        f"names it. ({text[:300]})"
    )
