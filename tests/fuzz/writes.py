"""DoPut and DoExchange: Arrow streams, descriptors and envelopes that no library would send."""

import asyncio
import base64
import json
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import flight
from pydantic import SecretStr

from flight_service.sql.commands import expected, pack, parsed
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as sql
from flight_service.writing.ingest import Ingest, Options
from fraiseql_assets.settings import Settings
from fraiseql_assets.stream.setup import setup_streams
from local_stack import servers
from tests.conftest import running
from tests.end_to_end import graphql_shop as shop
from tests.flights import serving_alone
from tests.fuzz.documents import INTS, JSONS, TEXTS
from tests.fuzz.ipc_messages import WITHOUT_DICTIONARIES, Message, changed, streams
from tests.fuzz.servers import INNER, database, execute
from tests.fuzz.target import Check, Target

METHODS = "/arrow.flight.protocol.FlightService/"
SECONDS = 30
ENDLESS_SECONDS = 0.5
"""How long a stream is read that ends only when its client cancels it."""
MOST_MEMORY = 1536 * 2**20
RAISED = re.compile(r"[A-Za-z_][\w.]*(: |$)")
"""The line of a traceback that names the exception."""
TABLE = "fuzz_note"
WRITABLE = ["events", TABLE]
PATH, CMD = base.FlightDescriptor.PATH, base.FlightDescriptor.CMD
PREPARED = "PREPARED"
"""In a descriptor: the handle of a statement that is prepared."""
APPEND = Options(
    if_not_exist=Options.TABLE_NOT_EXIST_OPTION_FAIL, if_exists=Options.TABLE_EXISTS_OPTION_APPEND
)


def _command(data: bytes) -> bytes:
    return base.FlightDescriptor(type=CMD, cmd=data).SerializeToString()


def _path(*names: str) -> bytes:
    return base.FlightDescriptor(type=PATH, path=names).SerializeToString()


DESCRIPTORS = st.one_of(
    st.sampled_from(
        [
            *map(_path, WRITABLE),
            _command(b'{"type": "Upload", "table": "events"}'),
            *(
                _command(pack(Ingest(table=one, table_definition_options=APPEND)))
                for one in WRITABLE
            ),
            PREPARED.encode(),
        ]
    ),
    TEXTS.map(lambda text: _path(text.encode(errors="replace").decode())),
    st.binary(max_size=40).map(_command),
    st.builds(
        lambda table, mode, other: _command(
            pack(Ingest(table=table, temporary=other, table_definition_options=mode))
        ),
        st.sampled_from([*WRITABLE, "", "x"]),
        st.builds(Options, if_not_exist=st.integers(0, 3), if_exists=st.integers(0, 4)),
        st.booleans(),
    ),
)

REQUESTS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "query": TEXTS | st.sampled_from(["{ authors { id } }", "authors", "stream/events"]),
            "variables": JSONS,
            "operationName": TEXTS,
        },
    ).map(lambda fields: {"Query": fields}),
    st.fixed_dictionaries(
        {"table": st.sampled_from(WRITABLE) | TEXTS},
        optional={"batch": st.deferred(lambda: BATCHES)},
    ).map(lambda fields: {"Upload": fields}),
    st.fixed_dictionaries(
        {},
        optional={
            "entity_type": TEXTS | st.lists(TEXTS, max_size=2),
            "filter": TEXTS | st.just("status = 'paid' AND total > 1"),
            "start_date": st.sampled_from(["2026-01-01", "x", 5]),
            "start_sequence": INTS,
            "flush_ms": INTS,
        },
    ).map(lambda fields: {"Subscribe": fields}),
    st.sampled_from(["1", "2", ""]).map(lambda id: {"Cancel": {"correlation_id": id}}),
    st.dictionaries(TEXTS, JSONS, max_size=2),
)


def _stream(messages: Sequence[Message]) -> bytes:
    """Messages as they stand in an Arrow stream."""
    return b"".join(
        b"\xff\xff\xff\xff" + len(one.header).to_bytes(4, "little") + one.header + one.body
        for one in messages
    )


BATCHES = st.one_of(
    streams().map(lambda made: base64.b64encode(_stream(made)).decode()),
    streams().map(lambda made: list(_stream(made)[:2000])),
    st.lists(INTS, max_size=4),
    TEXTS,
)


@st.composite
def envelopes(draw: st.DrawFn) -> bytes:
    """A message of the envelope, whole most often."""
    made: Any = {
        "Request": {
            "correlation_id": draw(st.sampled_from(["1", "2", ""]) | TEXTS),
            "request_type": draw(REQUESTS),
        }
    }
    if draw(st.integers(0, 9)) == 0:
        made = draw(st.sampled_from([{"Complete": {}}, {"Response": {}}, [], None, {}]) | JSONS)
    data = json.dumps(made).encode()
    return data if draw(st.integers(0, 4)) else draw(changed(data))


def _data(descriptor: bytes | None, message: Message | None, metadata: bytes = b"") -> bytes:
    """A `FlightData`. The descriptor is written as it is, whole or broken."""
    own = base.FlightData(app_metadata=metadata)
    if message is not None:
        own.data_header, own.data_body = message.header, message.body
    data = own.SerializeToString()
    if descriptor is None:
        return data
    return b"\x0a" + _length(descriptor) + descriptor + data


def _length(data: bytes) -> bytes:
    count, made = len(data), b""
    while count > 127:
        made, count = made + bytes([count & 127 | 128]), count >> 7
    return made + bytes([count])


@st.composite
def puts(draw: st.DrawFn) -> tuple[bytes, list[Message], bytes]:
    """The descriptor, the messages and the metadata of a DoPut."""
    return (
        draw(DESCRIPTORS),
        draw(streams()),
        draw(
            st.just(b"")
            | st.binary(max_size=8)
            | TEXTS.map(lambda one: one.encode(errors="replace"))
        ),
    )


@st.composite
def exchanges(draw: st.DrawFn) -> list[tuple[bytes, Message | None]]:
    """The envelopes of a DoExchange, some with record batches beside them."""
    own = draw(st.sampled_from(WITHOUT_DICTIONARIES))
    made: list[tuple[bytes, Message | None]] = [(b"", own[0])] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 4))):
        beside = draw(st.sampled_from([None, *own[1:]]))
        if beside is not None and draw(st.integers(0, 3)) == 0:
            beside = Message(draw(changed(beside.header)), draw(changed(beside.body)))
        made.append((draw(envelopes()), beside))
    return made


@contextmanager
def caller() -> Iterator["Caller"]:
    """A Flight service in a process of its own, which may write, over PostgreSQL and NATS."""
    with ExitStack() as stack:
        url = stack.enter_context(database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shop.create(url)
        execute(url, f"CREATE TABLE {TABLE} (id bigint, body text)")
        name = f"fuzz_{secrets.token_hex(4)}"
        settings = Settings(
            database_url=SecretStr(url),
            nats_url=SecretStr(stack.enter_context(running(servers.nats))),
            analytics_plane=False,
            operational_plane=False,
            schema_path=shop.write_schema(folder),
            stream=f"{name}_events",
            subjects=[f"{name}.mutation.>"],
            subject_prefix=f"{name}.mutation",
            dead_letter_stream=f"{name}_dead_letters",
            request_stream=f"{name}_requests",
            request_subject_prefix=f"{name}.request",
            writable=WRITABLE,
            request_log=False,
            graphql_timeout_seconds=20,
        )
        asyncio.run(setup_streams(settings))
        yield Caller(settings, stack)


class Caller:
    """Sends bytes to the service, and looks after it."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._start()

    def _start(self) -> None:
        self._service = self._stack.enter_context(serving_alone(self._settings))
        address = self._service.settings.flight_url.partition("://")[2]
        self._channel = grpc.insecure_channel(address)
        self._process = psutil.Process(self._service.process.pid)
        query = "SELECT id FROM v_author WHERE name = ?"
        made = sql.ActionCreatePreparedStatementRequest(query=query)
        action = flight.Action("CreatePreparedStatement", pack(made))
        [answer] = self._service.client.do_action(action)
        result = expected(answer.body.to_pybytes(), sql.ActionCreatePreparedStatementResult)
        handle = result.prepared_statement_handle
        self.prepared = _command(
            pack(sql.CommandPreparedStatementQuery(prepared_statement_handle=handle))
        )

    def call(self, method: str, messages: list[bytes], seconds: float = SECONDS) -> list[bytes]:
        """The answers to messages. An error is checked, and ends them."""
        answers: list[bytes] = []
        try:
            for answer in self._channel.stream_stream(METHODS + method)(
                iter(messages), timeout=seconds
            ):
                answers.append(answer)
        except grpc.RpcError as error:
            told: Any = error
            if told.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                assert seconds < SECONDS, "no answer"
            else:
                self.check_message(told.details() or "")
        return answers

    def check_message(self, message: str) -> None:
        """Fails with what the service has logged, if a message is of an internal error."""
        if INNER.search(message):
            lines = [line for line in self._service.log if RAISED.match(line)]
            raise AssertionError(lines[-1].strip() if lines else message)

    def check(self) -> None:
        """Fails if the service does not live, or has taken too much memory."""
        try:
            assert list(self._service.client.do_action(flight.Action("HealthCheck", b"")))
        except pa.ArrowException:
            code, told = self._service.ended(), self._service.log[-60:]
            # For the next example.
            self._start()
            raise AssertionError(f"it ended with {code}: {''.join(told)}") from None
        used = self._process.memory_info().rss
        assert used < MOST_MEMORY, f"it uses {used >> 20} MiB"


@contextmanager
def _puts() -> Iterator[Check]:
    with caller() as called:

        def check(example: tuple[bytes, list[Message], bytes]) -> None:
            descriptor, messages, metadata = example
            if descriptor == PREPARED.encode():
                descriptor = called.prepared
            sent = [
                _data(None if number else descriptor, message, metadata)
                for number, message in enumerate(messages)
            ]
            called.call("DoPut", sent or [_data(descriptor, None, metadata)])
            called.check()

        yield check


@contextmanager
def _exchanges() -> Iterator[Check]:
    with caller() as called:

        def check(example: list[tuple[bytes, Message | None]]) -> None:
            sent = [
                _data(None if number else _path("exchange"), message, metadata)
                for number, (metadata, message) in enumerate(example)
            ]
            is_endless = any(b"Subscribe" in metadata for metadata, _ in example)
            answers = called.call("DoExchange", sent, ENDLESS_SECONDS if is_endless else SECONDS)
            for answer in answers:
                told = parsed(base.FlightData, answer).app_metadata.decode()
                called.check_message(told if '"Err"' in told else "")
            called.check()

        yield check


PUTS = Target(puts(), _puts)
EXCHANGES = Target(exchanges(), _exchanges)
