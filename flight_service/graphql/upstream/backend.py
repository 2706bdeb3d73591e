"""A FraiseQL server as the backend that answers queries, and its JSON as Arrow.

The types of PostgreSQL's columns are not known here: every `Int` is an int64, since its column may
be a bigint, and a `Decimal` has 38 digits, 10 of them after the point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
from graphql import (
    DocumentNode,
    FieldNode,
    NameNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    is_abstract_type,
    print_ast,
    visit,
)

from flight_service.authentication import Principal
from flight_service.graphql.arrow.result_types import TYPENAME
from flight_service.graphql.errors import (
    BadDocument,
    GraphQLFailure,
    NotAuthorised,
    QueryRefused,
    ServerFailed,
    ServerUnavailable,
)
from flight_service.graphql.planning.access import Access, access_of
from flight_service.graphql.planning.introspection import constant_roots
from flight_service.graphql.planning.result import ConstantResult, Result, RootResult
from flight_service.graphql.planning.result_typing import ArrowTypes
from flight_service.graphql.planning.root_query import RootResolver, root_types
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.request.selection import Operation
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.registry import Loaded
from flight_service.graphql.upstream.client import FraiseqlServer, Reply
from flight_service.graphql.upstream.from_json import as_column, list_batches, single_batch
from fraiseql_assets.cancellation import Cancellation

CLIENT_ERRORS = frozenset(
    (
        "VALIDATION_ERROR",
        "PARSE_ERROR",
        "REQUEST_ERROR",
        "BAD_USER_INPUT",
        "GRAPHQL_VALIDATION_FAILED",
        "GRAPHQL_PARSE_FAILED",
    )
)
"""The codes of errors that the client can correct."""
FORBIDDEN = frozenset(("FORBIDDEN", "UNAUTHENTICATED", "UNAUTHORIZED"))


class _Error(msgspec.Struct):
    message: str = "an error without a message"
    code: str | None = None
    extensions: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    """A GraphQL response; the values in `data` are not decoded yet."""

    data: dict[str, msgspec.Raw] | None = None
    errors: list[_Error] | None = None


@dataclass(frozen=True, slots=True)
class ForwardedPlan:
    """A query that the FraiseQL server answers; see `planning.backend.Plan`."""

    result: Result
    request: bytes
    """The body of the request to the server."""
    _backend: "FraiseqlBackend"

    @property
    def size(self) -> int:
        return len(self.request)

    def explain(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "field": root.key,
                "source": "FRAISEQL_GRAPHQL_URL",
                "reads": "the FraiseQL server's response",
                "left_out": [],
                "columns": [f"{one.name}: {one.type}" for one in root.schema],
                "sql": "",
                "values": [],
            }
            for root in self.result.read
        ]

    def endpoints(self, principal: Principal, field: str | None) -> None:
        """None: the server's response is read as one."""

    def batches(
        self,
        principal: Principal,
        field: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        root = self.result.root(field)
        data = self._data(principal, cancellation)
        if root is None:
            yield _one_row(self.result, data)
        elif root.form == "list":
            rows = 0
            for batch in list_batches(root, _value(data, root), self._backend.batch_rows):
                rows += batch.num_rows
                self._backend.limit.check(rows, f"{root.key} has", (root.key,))
                yield batch
        else:
            yield single_batch(root, _value(data, root))

    def json(
        self, principal: Principal, cancellation: Cancellation | None = None
    ) -> Iterator[bytes]:
        data = self._data(principal, cancellation)
        yield b",".join(
            f'"{one.key}":'.encode()
            + (one.json if isinstance(one, ConstantResult) else bytes(_value(data, one)))
            for one in self.result.roots
        )

    def _data(
        self, principal: Principal, cancellation: Cancellation | None
    ) -> Mapping[str, msgspec.Raw]:
        """The server's response by key. No request is sent if all roots are constant."""
        if not any(self.result.read):
            return {}
        server = self._backend.server
        reply = server.post(
            self.request, authorization=principal.authorization, cancellation=cancellation
        )
        return _data(reply)


class FraiseqlBackend:
    """Answers queries through a FraiseQL server; see `planning.backend.Backend`."""

    def __init__(
        self, server: FraiseqlServer, *, knows_principals: bool, batch_rows: int, limit: RowLimit
    ) -> None:
        """If principals are not known, since the service has no secret to verify tokens, only the
        server decides what they may see."""
        self.server = server
        self.batch_rows = batch_rows
        self.limit = limit
        self._knows_principals = knows_principals

    def plan(self, loaded: Loaded, operation: Operation, principal: Principal) -> ForwardedPlan:
        """Checks a query against the schema, as PostgreSQL's plans are, and types its result."""
        schema = loaded.schema
        access = access_of(schema, principal)
        if not self._knows_principals:
            access = Access(is_decided_elsewhere=True)
        resolver = RootResolver(schema, access, principal, self.limit, looks_up_principals=True)
        constants = constant_roots(schema, operation, access)
        types = _arrow_types(schema)
        roots = tuple(
            constants[root.key]
            if root.key in constants
            else root_types(schema, resolver.resolve(root), access, types).result
            for root in operation.roots
        )
        return ForwardedPlan(Result(roots), _request(schema, operation), self)

    def close(self) -> None:
        """Nothing stays open: each request has a connection of its own."""


def is_complete(reply: Reply) -> bool:
    """Whether a response is a result without errors."""
    try:
        found = msgspec.json.decode(reply.content, type=_Answer)
    except (msgspec.DecodeError, RecursionError):
        return False
    return reply.status == 200 and found.data is not None and not found.errors


def _arrow_types(schema: Schema) -> ArrowTypes:
    """The Arrow types that hold whatever a column may."""
    return {
        (owner.name, field.name): pa.int64()
        for owner in (*schema.types.values(), *schema.interfaces.values())
        for field in owner.fields
        if kind_of(field.field_type.base).name == "Int"
    }


def _one_row(result: Result, data: Mapping[str, msgspec.Raw]) -> pa.RecordBatch:
    columns = [
        pa.array([one.type.value], pa.string())
        if isinstance(one, ConstantResult)
        else as_column(one, _value(data, one))
        for one in result.roots
    ]
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
    return pa.RecordBatch.from_arrays(columns, schema=result.schema())


def _request(schema: Schema, operation: Operation) -> bytes:
    name = operation.definition.name
    return msgspec.json.encode(
        {
            "query": print_ast(_with_typenames(schema, operation.document)),
            "variables": dict(operation.variables),
            "operationName": name.value if name else None,
        }
    )


def _with_typenames(schema: Schema, document: DocumentNode) -> DocumentNode:
    """The document with `__typename` in every interface and union: Arrow always has it."""
    if not schema.interfaces and not schema.unions:
        return document
    info = TypeInfo(schema.graphql)
    return visit(document, TypeInfoVisitor(info, _Typenames(info)))


class _Typenames(Visitor):
    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def leave_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        parent = self._info.get_parent_type()
        if parent is None or not is_abstract_type(parent):
            return None
        typename = FieldNode(name=NameNode(value=TYPENAME), alias=None, arguments=(), directives=())
        return SelectionSetNode(selections=(*node.selections, typename))


def _data(reply: Reply) -> Mapping[str, msgspec.Raw]:
    try:
        answer = msgspec.json.decode(reply.content, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _no_answer(reply) from error
    if answer.errors:
        raise _as_failure(reply, answer.errors)
    if answer.data is None:
        raise _no_answer(reply)
    return answer.data


def _as_failure(reply: Reply, errors: list[_Error]) -> GraphQLFailure:
    messages = " ".join(f"{one.message.rstrip('.')}." for one in errors)
    codes = {one.code or (one.extensions or {}).get("code") for one in errors}
    if reply.status in (401, 403) or codes & FORBIDDEN:
        return NotAuthorised(messages)
    if codes and codes <= CLIENT_ERRORS:
        return QueryRefused(messages)
    return ServerFailed(f"The FraiseQL server answers: {messages}")


def _no_answer(reply: Reply) -> GraphQLFailure:
    if reply.status in (401, 403):
        return NotAuthorised("The FraiseQL server refuses the token.")
    kind = ServerUnavailable if reply.status in (502, 503, 504) else ServerFailed
    return kind(
        f"The FraiseQL server answers with status {reply.status} and no GraphQL "
        "response. FRAISEQL_GRAPHQL_URL must name its GraphQL endpoint."
    )


def _value(data: Mapping[str, msgspec.Raw], root: RootResult) -> msgspec.Raw:
    if root.key not in data:
        raise BadDocument(
            f"The FraiseQL server's answer has no {root.key}, which the query selects.",
            path=(root.key,),
        )
    return data[root.key]
