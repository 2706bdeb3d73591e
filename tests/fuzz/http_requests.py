"""HTTP requests as bytes, sent to the HTTP side of the service."""

import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from hypothesis import strategies as st
from pydantic import SecretStr

from flight_service.addresses import Address
from flight_service.http import HttpServer, application
from flight_service.registry import registry
from fraiseql_assets.request_log.publisher import Unrecorded
from fraiseql_assets.settings import Settings
from tests.end_to_end import graphql_shop as shop
from tests.fuzz.documents import TEXTS, WORDS, documents, written
from tests.fuzz.graphql_roles import SCHEMA
from tests.fuzz.servers import INNER, database
from tests.fuzz.target import Check, Target
from tests.tokens import signed

SECRET = "a secret that is long enough for HS256"
SECONDS = 30
MOST = 2**20
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

PATHS = ["/graphql", "/search", "/assets", "/assets/analytics/events", "/health", "/ready"]
PARAMETERS = ["query", "variables", "operationName", "extensions", "format", "columns", "text"]
HEADERS = {
    "host": ["localhost", "127.0.0.1", "evil.example", "", "localhost:99999", "[::1]"],
    "content-type": ["application/json", "application/graphql", "text/plain; charset=x", ""],
    "accept": ["application/vnd.apache.arrow.stream", "application/json", "*/*", "\x01"],
    "accept-encoding": ["gzip", "br, gzip;q=x", ""],
    "origin": ["https://evil.example", "null"],
    "x-arrow-compression": ["zstd", "lz4", "none", "x"],
    "if-none-match": ['"x"', "*", ","],
    "transfer-encoding": ["chunked", "gzip", "chunked, chunked"],
    "content-length": ["0", "-1", "5", "99999999999", "x"],
    "traceparent": ["00-x", "0" * 300],
    "connection": ["close", "upgrade", "keep-alive"],
    "upgrade": ["websocket", "h2c"],
    "expect": ["100-continue"],
    "cookie": ["a=b"],
}
QUERIES = documents(SCHEMA.graphql, TEXTS) | st.sampled_from(
    ["{ authors { id } }", "{ pets { id } }"]
)
BODIES = st.one_of(
    QUERIES.map(lambda text: f'{{"query": {written(text)}}}'),
    st.tuples(QUERIES, TEXTS).map(
        lambda one: f'{{"query": {written(one[0])}, "variables": {written(one[1])}}}'
    ),
    st.sampled_from(
        ['{"query": 5}', "[]", "null", '{"query": "{a}", "extensions": 1}', "{" * 5000]
    ),
    TEXTS,
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request: most often well-formed, at times with bytes changed or cut off."""
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "get", "X"]))
    path = draw(
        st.sampled_from(PATHS) | TEXTS.map(lambda text: "/" + quote(text, errors="replace"))
    )
    names = draw(st.lists(st.sampled_from(PARAMETERS), max_size=3))
    given = "&".join(f"{name}={quote(draw(QUERIES | TEXTS), errors='replace')}" for name in names)
    token = signed(SECRET, sub="ann", scope=draw(st.sampled_from(["", "metrics", "admin"])))
    lines = [f"{method} {path}{'?' * bool(given)}{given[:4000]} HTTP/1.1"]
    if draw(st.integers(0, 9)):
        lines.append("host: localhost")
    if draw(st.integers(0, 5)):
        lines.append(f"authorization: Bearer {token}")
    for name in draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=3)):
        lines.append(f"{name}: {draw(st.sampled_from(HEADERS[name]))}")
    if draw(st.integers(0, 9)) == 0:
        lines.append(draw(TEXTS))
    body = draw(BODIES).encode(errors="replace") if method != "GET" else b""
    if body and draw(st.integers(0, 9)):
        lines.append(f"content-length: {len(body)}")
        lines.append("content-type: application/json")
    data = "\r\n".join(lines).encode(errors="replace") + b"\r\n\r\n" + body
    if draw(st.integers(0, 4)):
        return data
    at = draw(st.integers(0, len(data)))
    end = draw(st.sampled_from([len(data), at]))
    return data[:at] + draw(st.binary(max_size=4)) + data[at:end]


@contextmanager
def service() -> Iterator[tuple[str, int]]:
    """The HTTP side of a service over PostgreSQL that requires tokens."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop.create(url)
        settings = Settings(
            database_url=SecretStr(url),
            schema_path=shop.write_schema(folder),
            jwt_secret=SecretStr(SECRET),
            analytics_plane=False,
            operational_plane=False,
            graphql_timeout_seconds=20,
        )
        bound = Address.parse("http://127.0.0.1:0", "", "http").listen()
        web = HttpServer(bound, application(registry(settings, Unrecorded()).routes, settings))
        try:
            yield bound.getsockname()[:2]
        finally:
            web.stop(5)


def replied(address: tuple[str, int], data: bytes) -> bytes:
    """What the service replies to a client that sends nothing more."""
    found = b""
    with socket.create_connection(address, timeout=SECONDS) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while len(found) < MOST and (piece := client.recv(65536)):
                found += piece
        except (ConnectionResetError, BrokenPipeError):
            # It may close the connection before it has read everything.
            pass
    return found


@contextmanager
def _requests() -> Iterator[Check]:
    with service() as address:

        def check(data: bytes) -> None:
            found = replied(address, data)
            for status in STATUS.findall(found):
                assert status not in (b"500", b"502"), found[:2000]
            assert not found or STATUS.match(found), found[:200]
            assert not INNER.search(found.decode(errors="replace")), found[:4000]
            health = replied(address, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert health.startswith(b"HTTP/1.1 200"), health[:300]

        yield check


REQUESTS = Target(
    requests()
    | st.binary(max_size=300)
    | st.sampled_from(WORDS).map(lambda text: text.encode(errors="replace")),
    _requests,
)
