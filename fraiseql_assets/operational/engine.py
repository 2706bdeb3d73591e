"""Elasticsearch or OpenSearch: one client for both.

The client of Elasticsearch sends media types that OpenSearch refuses, and rejects responses without
Elasticsearch's product header. `EngineNode`, its connection class, detects the engine from the
first response and adapts requests and responses for OpenSearch.
"""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
from elastic_transport import HttpHeaders, NodeConfig, Urllib3HttpNode
from elastic_transport._node import NodeApiResponse
from elastic_transport.client_utils import DEFAULT
from elasticsearch import Elasticsearch

from fraiseql_assets.operational.interruption import interruptible

PRODUCT_HEADER = "x-elastic-product"
PRODUCT = "Elasticsearch"

_MEDIA_TYPE = re.compile(r"application/vnd\.elasticsearch\+(json|x-ndjson); *compatible-with=\d+")
_UNSUPPORTED_MEDIA_TYPE = (406, 415)


class EngineNode(Urllib3HttpNode):
    """A connection to Elasticsearch or OpenSearch."""

    is_opensearch: bool | None = None
    """None until the first response."""

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self.pool.ConnectionCls = interruptible(self.pool.ConnectionCls)

    def perform_request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: Any = DEFAULT,
    ) -> NodeApiResponse:
        send = super().perform_request
        if self.is_opensearch:
            return _as_product(send(method, target, body, _plain(headers), request_timeout))
        answer = send(method, target, body, headers, request_timeout)
        if PRODUCT_HEADER in answer.meta.headers:
            self.is_opensearch = False
        status = answer.meta.status
        if self.is_opensearch is False or not (status < 300 or status in _UNSUPPORTED_MEDIA_TYPE):
            return answer
        root = send("GET", "/", None, _plain(headers), request_timeout)
        if not _is_of_opensearch(root):
            return answer
        self.is_opensearch = True
        if status in _UNSUPPORTED_MEDIA_TYPE:
            # It was refused because of its media type, so it had no effect.
            answer = send(method, target, body, _plain(headers), request_timeout)
        return _as_product(answer)


def is_opensearch(client: Elasticsearch) -> bool:
    """Whether the client's server is OpenSearch; requested once per client."""
    [node] = client.transport.node_pool.all()
    assert isinstance(node, EngineNode)
    if node.is_opensearch is None:
        client.info()
    return bool(node.is_opensearch)


def open_point(
    client: Elasticsearch, alias: str, keep_alive: str, *, ignore_unavailable: bool = False
) -> str:
    """Opens a point in time over an alias, or several separated by commas. Returns its id.

    With `ignore_unavailable`, a missing alias is not an error.
    """
    if not is_opensearch(client):
        return client.open_point_in_time(
            index=alias, keep_alive=keep_alive, ignore_unavailable=ignore_unavailable
        )["id"]
    answer = client.perform_request(
        "POST",
        f"/{quote(alias, safe='')}/_search/point_in_time",
        params={
            "keep_alive": keep_alive,
            "ignore_unavailable": ignore_unavailable,
            # OpenSearch would omit shards that are not started, without an error.
            "allow_partial_pit_creation": False,
        },
        headers={"accept": "application/json"},
    )
    return answer.body["pit_id"]


def close_point(client: Elasticsearch, point: str) -> None:
    """Closes a point in time. An expired one is already closed."""
    client = client.options(ignore_status=404)
    if not is_opensearch(client):
        client.close_point_in_time(id=point)
        return
    client.perform_request(
        "DELETE",
        "/_search/point_in_time",
        headers={"accept": "application/json", "content-type": "application/json"},
        body={"pit_id": [point]},
    )


def _is_of_opensearch(root: NodeApiResponse) -> bool:
    try:
        found = msgspec.json.decode(root.body)
        return root.meta.status == 200 and found["version"]["distribution"] == "opensearch"
    except (msgspec.DecodeError, KeyError, TypeError):
        return False


def _plain(headers: HttpHeaders | None) -> HttpHeaders:
    """The headers with the media types that every server knows."""
    plain = (headers or HttpHeaders()).copy()
    for name in ("accept", "content-type"):
        if name in plain:
            plain[name] = _MEDIA_TYPE.sub(r"application/\1", plain[name])
    return plain


def _as_product(answer: NodeApiResponse) -> NodeApiResponse:
    """The response as the client expects it."""
    headers = answer.meta.headers.copy()
    headers[PRODUCT_HEADER] = PRODUCT
    return NodeApiResponse(replace(answer.meta, headers=headers), answer.body)
