"""Queries answered by a FraiseQL server, and its JSON as the Arrow that the plan announces.

What a source column would tell is not known here: every `Int` is an int64, since its column may be
a bigint, and a `Decimal` has 38 digits, 10 of them after the point.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
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
from flight_service.cancellation import Cancellation
from flight_service.graphql.arrow.shapes import TYPENAME, Constant, Member
from flight_service.graphql.errors import (
    BadDocument,
    GraphQLFailure,
    LimitExceeded,
    NotAuthorised,
    QueryRefused,
    ServerFailed,
    ServerUnavailable,
)
from flight_service.graphql.execution.reader import picked, result_schema
from flight_service.graphql.planning.compile import compile_plan
from flight_service.graphql.planning.plan import Plan, RootPlan
from flight_service.graphql.postgres.catalogue import ColumnInfo
from flight_service.graphql.request.operation import Operation
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.source import Source, Sources
from flight_service.graphql.upstream.client import FraiseqlServer, Reply
from flight_service.graphql.upstream.from_json import as_column, list_batches, single_batch

CLIENTS = frozenset(
    (
        "VALIDATION_ERROR",
        "PARSE_ERROR",
        "REQUEST_ERROR",
        "BAD_USER_INPUT",
        "GRAPHQL_VALIDATION_FAILED",
        "GRAPHQL_PARSE_FAILED",
    )
)
"""The codes of errors that are the client's to mend."""
FORBIDDEN = frozenset(("FORBIDDEN", "UNAUTHENTICATED", "UNAUTHORIZED"))


class _Error(msgspec.Struct):
    message: str = "an error without a message"
    code: str | None = None
    extensions: dict[str, Any] | None = None


class _Answer(msgspec.Struct):
    """A GraphQL response; what lies in `data` is not looked into."""

    data: dict[str, msgspec.Raw] | None = None
    errors: list[_Error] | None = None


class Forwarding:
    """Plans and reads queries as a FraiseQL server answers them."""

    def __init__(
        self, server: FraiseqlServer, *, knows_principals: bool, batch_rows: int, max_rows: int
    ) -> None:
        self._server = server
        self._knows_principals = knows_principals
        self._batch_rows = batch_rows
        self._max_rows = max_rows

    def plan(self, schema: Schema, operation: Operation, principal: Principal) -> Plan:
        """A query's shapes, checked against the schema as any query is; there is no SQL.

        Raises:
            QueryRefused, NotAuthorised: see `flight_service.graphql.planning.compile.compile_plan`.
        """
        # Who calls, a service without a secret cannot tell: the server decides.
        known = schema if self._knows_principals else _open(schema)
        sources = _sources(schema)
        # Cursors are the server's own to read.
        roots = tuple(
            replace(root, arguments=_without(root.arguments, "after", "before"))
            for root in operation.roots
        )
        asked = replace(operation, roots=roots)
        plan = compile_plan(known, lambda _: sources, asked, principal, self._max_rows)
        return Plan(
            tuple(
                root
                if isinstance(root, Member)
                else replace(root, sql="", rows_sql="", values=(), value_types=())
                for root in plan.roots
            )
        )

    def batches(
        self,
        schema: Schema,
        operation: Operation,
        plan: Plan,
        principal: Principal,
        field: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """A plan's result in batches of `flight_service.graphql.execution.reader.result_schema`.

        Raises:
            GraphQLFailure: the server does not answer, answers with errors, or not by the schema.
        """
        root = picked(plan, field)
        data: Mapping[str, msgspec.Raw] = {}
        if plan.statements:
            body = _body(schema, operation)
            reply = self._server.post(
                body, authorization=principal.authorization, cancellation=cancellation
            )
            data = _data(self._server, reply)
        if root is None:
            yield _one_row(plan, data)
        elif root.form == "list":
            yield from self._list(root, _value(data, root))
        else:
            yield single_batch(root, _value(data, root))

    def _list(self, root: RootPlan, value: msgspec.Raw) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in list_batches(root, value, self._batch_rows):
            rows += batch.num_rows
            if rows > self._max_rows:
                raise LimitExceeded.of_rows(f"{root.key} has", self._max_rows, (root.key,))
            yield batch


def _open(schema: Schema) -> Schema:
    """The schema with nothing in it that depends on the principal."""
    types = {
        name: msgspec.structs.replace(
            one,
            requires_role=None,
            fields=tuple(_open_field(field) for field in one.fields),
        )
        for name, one in schema.types.items()
    }
    interfaces = {
        name: msgspec.structs.replace(one, fields=tuple(map(_open_field, one.fields)))
        for name, one in schema.interfaces.items()
    }
    queries = {
        name: msgspec.structs.replace(one, requires_role=None, requires_actor=(), inject_params={})
        for name, one in schema.queries.items()
    }
    return replace(schema, types=types, interfaces=interfaces, queries=queries, visible={})


def _open_field(field: Field) -> Field:
    """A field that the server decides about. One that it may mask may be null."""
    scope = field.requires_scope if field.on_deny == "mask" else None
    return msgspec.structs.replace(field, requires_role=None, requires_scope=scope)


def _sources(schema: Schema) -> Sources:
    """Sources that have whatever the schema says, so that any query can be planned."""
    cursors = {one.relay_cursor_column or "id" for one in schema.queries.values()}
    source = Source(
        "FRAISEQL_GRAPHQL_URL",
        "what the FraiseQL server answers",
        "forwarded",
        members={},
        columns={name: ColumnInfo(name, "text") for name in cursors},
        document="data",
        builds=False,
    )
    types: dict[tuple[str, str], pa.DataType] = {
        (owner.name, field.name): pa.int64()
        for owner in (*schema.types.values(), *schema.interfaces.values())
        for field in owner.fields
        if kind_of(field.field_type.base).name == "Int"
    }
    names = schema.queries
    return Sources(dict.fromkeys(names, (source,)), dict.fromkeys(names, ()), types)


def _one_row(plan: Plan, data: Mapping[str, msgspec.Raw]) -> pa.RecordBatch:
    columns = [
        _constant(one) if isinstance(one, Member) else as_column(one, _value(data, one))
        for one in plan.roots
    ]
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
    return pa.RecordBatch.from_arrays(columns, schema=result_schema(plan))


def _without(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in names}


def _constant(member: Member) -> pa.Array:
    assert isinstance(member.shape, Constant)
    return pa.array([member.shape.value], pa.string())


def _body(schema: Schema, operation: Operation) -> bytes:
    name = operation.definition.name
    return msgspec.json.encode(
        {
            "query": print_ast(_with_typenames(schema, operation.document)),
            "variables": dict(operation.variables),
            "operationName": name.value if name else None,
        }
    )


def _with_typenames(schema: Schema, document: DocumentNode) -> DocumentNode:
    """The document with the `__typename` of every interface and union, which Arrow always has."""
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


def _data(server: FraiseqlServer, reply: Reply) -> Mapping[str, msgspec.Raw]:
    try:
        answer = msgspec.json.decode(reply.content, type=_Answer)
    except msgspec.MsgspecError as error:
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
    if codes and codes <= CLIENTS:
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


def _value(data: Mapping[str, msgspec.Raw], root: RootPlan) -> msgspec.Raw:
    if root.key not in data:
        raise BadDocument(
            f"The FraiseQL server's answer has no {root.key}, which the query selects.",
            path=(root.key,),
        )
    return data[root.key]
