"""The client of the search engine: connections, the files of `mappings/`, and client errors as
plane errors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

import msgspec
from elastic_transport import ConnectionTimeout, JsonSerializer, TransportError
from elasticsearch import ApiError, Elasticsearch, UnsupportedProductError

from fraiseql_assets.addresses import ServerAddress
from fraiseql_assets.one_line import one_line
from fraiseql_assets.operational.availability import DayUnavailable, closed_day
from fraiseql_assets.operational.engine import EngineNode
from fraiseql_assets.planes import PlaneError, PlaneNotSetUp, PlaneUnavailable
from fraiseql_assets.settings import Settings

_JSON = ("application/json", "application/vnd.elasticsearch+json")
CONNECTIONS = 100
"""How many requests of a client run at the same time. Others wait, whatever their timeout."""
_OVERLOADED = (408, 429, 502, 503, 504, 507)


class _Json(JsonSerializer):
    """Parses responses three times faster than the standard library."""

    def json_loads(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error


@cache
def definition(name: str, **values: object) -> dict[str, Any]:
    """The content of `mappings/<name>.json`, with `${…}` filled in. Callers must not modify it."""
    text = files("fraiseql_assets.operational").joinpath("mappings", f"{name}.json").read_text()
    return json.loads(Template(text).substitute(values))


def address(settings: Settings) -> str:
    """The address of Elasticsearch, without credentials."""
    return _address(settings).public


def _address(settings: Settings) -> ServerAddress:
    return ServerAddress.parse(settings.elasticsearch_url, port=9200, tls_port=443)


def connect(settings: Settings, *, timeout: float) -> Elasticsearch:
    """A client of the plane's server. It connects on first use and can be shared between threads. A
    request takes at most `timeout` seconds, and the client never repeats it.
    """
    server = _address(settings)
    return Elasticsearch(
        f"{server.public}/{server.path}".rstrip("/"),
        basic_auth=(server.user, server.password) if server.user else None,
        request_timeout=timeout,
        connections_per_node=CONNECTIONS,
        max_retries=0,
        serializers={mimetype: _Json() for mimetype in _JSON},
        node_class=EngineNode,
    )


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turns client errors into plane errors that name the server and the remedy."""
    where = f"Elasticsearch at {address(settings)}"
    try:
        yield
    except UnsupportedProductError as error:
        raise PlaneError(
            f"{where} is neither Elasticsearch nor OpenSearch. Check FRAISEQL_ELASTICSEARCH_URL. "
            f"({error})"
        ) from error
    except ApiError as error:
        raise _explained(where, error) from error
    except ConnectionTimeout as error:
        raise PlaneUnavailable(
            f"{where} has not answered in time. Try again when it has less to do, or raise "
            f"FRAISEQL_REQUEST_TIMEOUT_SECONDS. ({one_line(error)[:300]})"
        ) from error
    except TransportError as error:
        raise PlaneUnavailable(
            f"{where} does not answer. Check that the server runs and that "
            f"FRAISEQL_ELASTICSEARCH_URL names it. ({one_line(error)[:300]})"
        ) from error


def _explained(where: str, error: ApiError) -> PlaneError:
    status, text = error.status_code, one_line(error)
    if status == 401 or (status == 403 and "security_exception" in text):
        return PlaneUnavailable(
            f"{where} refuses the credentials. Check the user, the password and the user's "
            f"privileges in FRAISEQL_ELASTICSEARCH_URL. ({text[:300]})"
        )
    if status == 404 and "index_not_found_exception" in text:
        return PlaneNotSetUp(
            f"{where} lacks the indices. Run `fraiseql-assets setup`. ({text[:300]})"
        )
    if "index_closed_exception" in text:
        return DayUnavailable(closed_day(_index_of(error)))
    if status == 503 and "search_phase_execution_exception" in text:
        return PlaneUnavailable(
            f"{where} has not started an index that is asked for: it was created a moment ago, or "
            "it cannot start. Try again; `GET /_cluster/allocation/explain` says why it has not."
        )
    if status in _OVERLOADED or "cluster_block_exception" in text:
        return PlaneUnavailable(f"{where} has no room for this now: {text[:300]}")
    if status == 413:
        return PlaneError(f"{where} takes no request this large. Lower FRAISEQL_BULK_BYTES.")
    return PlaneError(
        f"{where} refuses: {text[:1000]} Check that FRAISEQL_ELASTICSEARCH_URL names "
        "Elasticsearch 8 or 9, or OpenSearch 2 or 3, and that its indices are this project's."
    )


def _index_of(error: ApiError) -> str:
    """The index that an error names."""
    body = error.body if isinstance(error.body, dict) else {}
    return str((body.get("error") or {}).get("index", "of the day"))
