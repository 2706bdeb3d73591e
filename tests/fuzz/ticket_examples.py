"""Tickets of every type, Flight SQL's messages, and the bodies of actions and envelopes."""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from flight_service.sql.commands import pack
from flight_service.sql.protocol import Flight_pb2 as base
from flight_service.sql.protocol import FlightSql_pb2 as protocol
from tests.fuzz.documents import INTS, JSONS, TEXTS, WORDS, documents
from tests.fuzz.graphql_roles import SCHEMA

DATES = st.sampled_from(
    [
        *("2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00+14:00", "2026-12-31"),
        *("0001-01-01", "9999-12-31", "2026-02-30", "2026-01-01x12", "1e5", "1", ""),
    ]
)
COLUMNS = st.sampled_from(["event_id", "tenant_id", "data", "entity_id", "id", "chunk", "nothing"])
TABLES = st.sampled_from(
    [
        *("analytics/events", "operational/events", "stream/events", "fraiseql_events"),
        *("fraiseql_events_hourly", "v_author", "authors", "operational/requests", "x"),
    ]
)
CONDITIONS = TEXTS | st.sampled_from(
    [
        *("timestamp > '2026-01-01'", "tenant_id = 't2'", "1 = 1 OR tenant_id IS NOT NULL"),
        *("id > 1", "status = 'paid' AND total > 1", "data LIKE '%{%'", "id IN (SELECT 1)"),
    ]
)
STATEMENTS = TEXTS | st.builds(
    lambda shown, table, condition: f"SELECT {shown} FROM {table}{condition}",
    st.sampled_from(
        ["*", "1", "count(*)", "data", "max(entity_id)", "concat(id, '')", "hex(data)"]
    ),
    st.sampled_from(
        [
            *("fraiseql_events", "fraiseql_org_daily", "v_author", "authors", "system.tables"),
            *("pg_class", "default.fraiseql_events FINAL"),
            "(SELECT * FROM fraiseql_events) AS e",
        ]
    ),
    st.just("") | CONDITIONS.map(lambda text: f" WHERE {text}"),
)
SEARCHES = TEXTS | st.sampled_from(
    ["a AND (", 'entity_type:"Order"', "data.x:1", "tenant_id:t2 OR *", "*", "data.status:paid"]
)
QUERIES = documents(SCHEMA.graphql, TEXTS) | st.sampled_from(
    ["{ authors { id name } }", "analytics/events", "{ pets { id } }", "authors"]
)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "asset": TABLES,
    "partition": DATES,
    "start": DATES,
    "end": DATES,
    "columns": st.lists(COLUMNS, max_size=3),
    "endpoints": st.sampled_from([1, 2, "1", None]),
    "entity_type": TEXTS | st.lists(TEXTS, max_size=2) | st.just("Order"),
    "event_type": TEXTS | st.lists(TEXTS, max_size=2) | st.just("update"),
    "entity_id": TEXTS | st.lists(TEXTS, max_size=2),
    "tenant_id": st.sampled_from(["t1", "t2", ["t1", "t2"], "*", None]),
    "tenant": st.sampled_from(["t1", "t2", "*", ""]),
    "start_date": DATES,
    "end_date": st.none() | DATES | st.just({}),
    "start_sequence": INTS,
    "start_row": INTS,
    "flush_rows": INTS,
    "flush_ms": st.sampled_from([0, 1, 100, -1, 60_001]),
    "newest": st.booleans() | st.just("true"),
    "limit": INTS | st.sampled_from([1e5, 0.5, "10", {}]),
    "offset": INTS,
    "query": QUERIES | SEARCHES,
    "variables": st.none() | JSONS,
    "operationName": st.none() | TEXTS,
    "field": TEXTS | st.just("authors"),
    "handle": TEXTS,
    "part": INTS,
    "view": TEXTS | st.sampled_from(["v_author", "authors", "fraiseql_events"]),
    "table": TABLES | TEXTS,
    "filter": CONDITIONS,
    "order_by": TEXTS | st.sampled_from(["id", "name DESC", "tenant_id"]),
    "format": st.sampled_from(["csv", "ndjson", "json", "arrow", "parquet", "xml", "CSV"]),
    "queries": st.lists(STATEMENTS, max_size=3),
    "kinds": st.lists(st.sampled_from(["event", "request", "events", ""]), max_size=2) | TEXTS,
    "since": DATES | st.sampled_from(["1h", "7d", "-1h", "9" * 30 + "d", "now"]),
    "until": DATES | st.sampled_from(["1h", "0s"]),
    "entity": TEXTS,
    "id": TEXTS,
    "failed": st.booleans(),
    "similar": TEXTS,
    "oldest_first": st.booleans(),
    "cursor": TEXTS | st.sampled_from(["WzFd", "W10=", "bnVsbA==", "eyJhIjoxfQ=="]),
    "count": st.sampled_from(["type", "hour", "day", "tenant", "entity_type", "", 1]),
    "partial": st.booleans(),
}
"""The fields of tickets, with values that fit and others."""

FIELDS_OF: dict[str, Sequence[str]] = {
    "Asset": ("asset", "partition", "start", "end"),
    "ObserverEvents": ("entity_type", "start_date", "end_date", "limit", "newest"),
    "Tail": (
        *("entity_type", "event_type", "entity_id", "tenant_id", "filter", "start_date"),
        *("start_sequence", "start_row", "flush_rows", "flush_ms"),
    ),
    "Search": (
        *("query", "kinds", "since", "until", "tenant", "entity", "entity_type", "event_type"),
        *("id", "failed", "similar", "oldest_first", "limit", "cursor", "count", "partial"),
    ),
    "GraphQLQuery": ("query", "variables", "operationName", "field"),
    "GraphQLPart": ("handle", "part"),
    "OptimizedView": ("view", "filter", "order_by", "limit", "offset"),
    "BulkExport": ("table", "filter", "limit", "format"),
    "BatchedQueries": ("queries",),
}
"""The fields of each type of ticket, beside those that all have."""
OF_ALL = ("endpoints", "columns")
REQUIRED = {
    "Asset": "asset",
    "GraphQLQuery": "query",
    "GraphQLPart": "handle",
    "OptimizedView": "view",
    "BulkExport": "table",
    "BatchedQueries": "queries",
}
"""The field without which a ticket is refused before anything else is looked at."""


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of a ticket: most often those of its type, with values that may fit."""
    kind = draw(st.sampled_from([*FIELDS_OF, "Nothing", "asset", ""]))
    own = [*FIELDS_OF.get(kind, ()), *OF_ALL]
    names = draw(st.lists(st.sampled_from(own), max_size=4, unique=True))
    if draw(st.integers(0, 9)) == 0:
        names.append(draw(st.sampled_from(sorted(FIELDS))))
    if kind in REQUIRED and draw(st.integers(0, 19)):
        names.append(REQUIRED[kind])
    made: dict[str, Any] = {name: draw(FIELDS[name]) for name in names}
    if kind and draw(st.integers(0, 19)):
        made["type"] = kind
    if draw(st.integers(0, 9)) == 0:
        made[draw(TEXTS)] = draw(JSONS)
    return made


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes; one in six has others in its middle."""
    data = draw(whole)
    if draw(st.integers(0, 5)):
        return data
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]


def written(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


PREPARED = b"P" * 32
"""In a message: the handle of a statement that is prepared, which is as long."""
COMMANDS = [
    getattr(protocol, name)
    for name in protocol.DESCRIPTOR.message_types_by_name
    if name.startswith(("Command", "Ticket"))
]
"""Flight SQL's commands, all that there are."""


@st.composite
def messages(draw: st.DrawFn, kind: type[Message], depth: int = 0) -> Message:
    """A message with values in most of its fields."""
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if draw(st.integers(0, 4)) == 0:
            continue
        values = _values(field, depth)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            for key in draw(st.lists(PLAIN, max_size=2, unique=True)):
                entry = draw(_values(value, depth + 1))
                if isinstance(entry, Message):
                    getattr(made, field.name)[key].CopyFrom(entry)
                else:
                    getattr(made, field.name)[key] = entry
        elif field.is_repeated:
            getattr(made, field.name).extend(draw(st.lists(values, max_size=2)))
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(draw(values))
        else:
            setattr(made, field.name, draw(values))
    return made


PLAIN = TEXTS.map(lambda text: text.encode(errors="replace").decode())
OPTIONS = st.sampled_from(["catalog", "schema", "fraiseql", "clickhouse", "analytics", "public"])


def _values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    """Values for a field, or for an item of a repeated one."""
    whole = {
        FieldDescriptor.CPPTYPE_INT32: st.sampled_from([0, 1, -1, 500, 2**31 - 1]),
        FieldDescriptor.CPPTYPE_UINT32: st.sampled_from([0, 1, 4, 1000, 2**32 - 1]),
        FieldDescriptor.CPPTYPE_INT64: st.sampled_from([0, 1, -1, 2**63 - 1]),
        FieldDescriptor.CPPTYPE_ENUM: st.sampled_from([0, 1, 2, 3]),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_DOUBLE: st.sampled_from([0.5, float("nan"), 1e308]),
    }
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            handles = st.sampled_from([PREPARED, b"", b"P"])
            return handles | st.binary(max_size=30) | objects().map(written)
        if "query" in field.name:
            return STATEMENTS.map(lambda text: text.encode(errors="replace").decode())
        return OPTIONS | PLAIN
    if field.message_type is not None:
        kind = GetMessageClass(field.message_type)
        return messages(kind, depth + 1) if depth < 3 else st.just(kind())
    return whole[field.cpp_type]


SQL_COMMANDS = st.sampled_from(COMMANDS).flatmap(messages).map(pack)
TICKETS = damaged(objects().map(written) | SQL_COMMANDS)
BYTES = (
    TICKETS
    | st.binary(max_size=200)
    | st.sampled_from(WORDS).map(lambda text: text.encode(errors="replace"))
)

RUNS = st.fixed_dictionaries(
    {},
    optional={
        "asset": TABLES | TEXTS,
        "partition": DATES,
        "start": DATES,
        "end": DATES,
        "run_id": TEXTS,
        "backfill_id": TEXTS,
        "follow": st.booleans() | st.just(1),
    },
).map(written)


def _packed(*names: str) -> st.SearchStrategy[bytes]:
    kinds = [getattr(protocol, name) for name in names]
    return st.sampled_from(kinds).flatmap(messages).map(pack)


def _bare(kind: type[Message]) -> st.SearchStrategy[bytes]:
    return messages(kind).map(lambda made: made.SerializeToString())


BODIES: dict[str, st.SearchStrategy[bytes]] = {
    **dict.fromkeys(("MaterializeAsset", "BackfillAsset", "RunStatus"), RUNS),
    **dict.fromkeys(("HealthCheck", "RefreshSchemaRegistry", "ClearCache"), st.just(b"")),
    **dict.fromkeys(("GetSchemaVersions", "Nothing"), st.just(b"")),
    "ExplainGraphQLQuery": objects().map(written),
    "CreatePreparedStatement": _packed("ActionCreatePreparedStatementRequest"),
    "ClosePreparedStatement": _packed("ActionClosePreparedStatementRequest"),
    "CancelQuery": _packed("ActionCancelQueryRequest"),
    "CancelFlightInfo": _bare(base.CancelFlightInfoRequest),
    "SetSessionOptions": _bare(base.SetSessionOptionsRequest),
    "GetSessionOptions": _bare(base.GetSessionOptionsRequest),
    "CloseSession": _bare(base.CloseSessionRequest),
    "BeginTransaction": _packed("ActionBeginTransactionRequest"),
    "EndTransaction": _packed("ActionEndTransactionRequest"),
    "BeginSavepoint": _packed("ActionBeginSavepointRequest"),
    "EndSavepoint": _packed("ActionEndSavepointRequest"),
}
"""The bodies of each action."""
ACTIONS = st.sampled_from(sorted(BODIES)).flatmap(
    lambda name: st.tuples(st.just(name), damaged(BODIES[name]) | BYTES)
)

ASKED = (
    st.fixed_dictionaries(
        {"query": QUERIES | TABLES}, optional={"variables": JSONS, "operationName": TEXTS}
    ).map(lambda fields: {"Query": fields})
    | st.fixed_dictionaries({}, optional={name: FIELDS[name] for name in FIELDS_OF["Tail"]}).map(
        lambda fields: {"Subscribe": fields}
    )
    | TABLES.map(lambda name: {"Upload": {"table": name, "batch": [1]}})
    | st.just({"Cancel": {"correlation_id": "1"}})
)
ENVELOPES = damaged(
    ASKED.map(lambda asked: written({"Request": {"correlation_id": "1", "request_type": asked}}))
)
"""Messages of DoExchange."""
