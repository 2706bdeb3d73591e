"""Refuses requests to the search engine, which has no security module here.

The modules that Elasticsearch and OpenSearch check passwords with are not on Maven Central. The
guard stands between the engine's HTTP server and its REST controller, in the same process.
"""

import json
from collections.abc import Callable
from typing import Any

import jpype

from local_stack.elasticsearch.engines import Engine, Search
from local_stack.request_guard import LOOPBACK, equal, refused_host, refused_origin

FIELD = "dispatcher"
HEADER = "WWW-Authenticate"
CHALLENGE = 'Basic realm="fraiseql-local", charset="UTF-8"'

Read = Callable[[str], str | None]
"""Returns the value of a request's header."""


def refusal(read: Read, credentials: str, host: str) -> tuple[str, str] | None:
    """Why a request is refused, as the name of a REST status and a sentence; None if it is not.

    `credentials` is the value of `Authorization` that is accepted, `host` the address that the
    engine listens on.
    """
    why = refused_host(read("Host"), {*LOOPBACK, host}) or refused_origin(read("Origin"))
    if why:
        return "FORBIDDEN", why
    if not equal(read("Authorization") or "", credentials):
        return "UNAUTHORIZED", "The user or the password is missing or wrong."
    return None


def guard(node: Any, engine: Engine, credentials: str, host: str) -> None:
    """Makes a node, before it starts, answer only requests that `refusal` lets through."""
    package = f"{engine.package}.http"
    transport = node.injector().getInstance(jpype.JClass(f"{package}.HttpServerTransport"))
    field = _field(transport.getClass())
    field.setAccessible(True)
    inner = field.get(transport)
    answer = _answers(engine)

    # Named by what Java calls it.
    class Guard:
        def dispatchRequest(self, request: Any, channel: Any, context: Any) -> None:  # noqa: N802
            def read(name: str) -> str | None:
                value = request.header(name)
                return None if value is None else str(value)

            refused = refusal(read, credentials, host)
            if refused is None:
                inner.dispatchRequest(request, channel, context)
            else:
                channel.sendResponse(answer(*refused))

        def dispatchBadRequest(self, channel: Any, context: Any, cause: Any) -> None:  # noqa: N802
            inner.dispatchBadRequest(channel, context, cause)

    field.set(transport, jpype.JProxy(f"{package}.HttpServerTransport$Dispatcher", inst=Guard()))


def _field(of: Any) -> Any:
    while of is not None:
        for field in of.getDeclaredFields():
            if str(field.getName()) == FIELD:
                return field
        of = of.getSuperclass()
    raise LookupError(FIELD)


def _answers(engine: Engine) -> Callable[[str, str], Any]:
    elasticsearch = engine.name is Search.elasticsearch
    rest = f"{engine.package}.rest"
    status = jpype.JClass(f"{engine.package}.{'rest' if elasticsearch else 'core.rest'}.RestStatus")
    response = jpype.JClass(f"{rest}.{'RestResponse' if elasticsearch else 'BytesRestResponse'}")

    def answer(name: str, sentence: str) -> Any:
        code = getattr(status, name)
        body = {
            "error": {"type": "security_exception", "reason": sentence},
            "status": int(code.getStatus()),
        }
        made = response(code, "application/json", json.dumps(body))
        if name == "UNAUTHORIZED":
            made.addHeader(HEADER, CHALLENGE)
        return made

    return answer
