"""Answers `GET /` of Elasticsearch, whose module for it is not on Maven Central."""

import json
from collections.abc import Mapping
from typing import Any

import jpype

from local_stack.elasticsearch.engines import Engine


def register_root(node: Any, engine: Engine, settings: Mapping[str, str]) -> None:
    """Makes a node, before it starts, answer `GET /` and `HEAD /` as Elasticsearch does."""
    rest = "org.elasticsearch.rest"
    route, method, response, status = (
        jpype.JClass(f"{rest}.{name}")
        for name in ("RestHandler$Route", "RestRequest$Method", "RestResponse", "RestStatus")
    )
    answer = json.dumps(
        {
            "name": settings["node.name"],
            "cluster_name": settings["cluster.name"],
            "version": {"number": engine.version, "build_flavor": "default"},
            "tagline": "You Know, for Search",
        }
    )

    # Named by what Java calls it.
    class Root:
        def handleRequest(self, request: Any, channel: Any, client: Any) -> None:  # noqa: N802
            channel.sendResponse(response(status.OK, "application/json", answer))

        def routes(self) -> Any:
            every = [route(getattr(method, name), "/") for name in ("GET", "HEAD")]
            return jpype.JClass("java.util.Arrays").asList(every)

    handler = jpype.JProxy(f"{rest}.RestHandler", inst=Root())
    node.injector().getInstance(jpype.JClass(f"{rest}.RestController")).registerHandler(handler)
