"""The relations of the compiled schema for a principal, from the plans of GraphQL queries.

The columns of a relation are the scalar fields that the principal may read, with the names of
document keys. Its rows are those of the query that lists it. The planner of GraphQL queries applies
roles, scopes, masks and claims, so SQL shows nothing that GraphQL would not.
"""

import re
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec
import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE, ServiceError
from flight_service.graphql.arrow.columns import ScalarColumn
from flight_service.graphql.arrow.result_types import ConstantType, ScalarType, arrow_field
from flight_service.graphql.execution.backend import PostgresPlan
from flight_service.graphql.planning.access import access_of
from flight_service.graphql.planning.plan import RootStatement
from flight_service.graphql.postgres.sql import SETTING, literal, quoted
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.service import GraphQL, Request
from flight_service.graphql.transport.shorthand import shorthand
from flight_service.sql.catalogue import TABLE, VIEW, Document, Relation

DEFAULT_SCHEMA = "public"
TABLES = ("tb_", "tv_", "ta_", "tf_")
"""The prefixes of table names."""
_SETTING = re.compile(rf"current_setting\('{re.escape(SETTING)}(\d+)'\)")
NATIVE = {
    pa.bool_(): "bool",
    pa.int32(): "int4",
    pa.int64(): "int8",
    pa.float64(): "float8",
    pa.date32(): "date",
    pa.time64("us"): "time",
    pa.timestamp("us", "UTC"): "timestamptz",
}


def relations_key(graphql: GraphQL, principal: Principal) -> str:
    """The key on which the relations of a principal depend.

    Raises:
        SchemaUnavailable: there is no schema.
    """
    loaded = graphql.registry.current()
    claims = {name: principal.claims.get(name) for name in sorted(loaded.claims)}
    access = access_of(loaded.schema, principal)
    held = [sorted(access.roles), sorted(access.scopes), access.actor]
    return msgspec.json.encode([loaded.version, loaded.catalogue_version, claims, held]).decode()


def relations_of(graphql: GraphQL, principal: Principal) -> list[Relation]:
    """Every relation that a query lists and the principal may read, ordered by name.

    Raises:
        ServiceError: the database cannot be asked.
    """
    names = shorthand(graphql.registry)
    if names is None or graphql.forwards:
        return []
    schema = graphql.registry.current().schema
    found: dict[tuple[str, str], Relation] = {}
    for number, (relation, query) in enumerate(names.relations.items()):
        for one in _candidates(schema, relation, query):
            try:
                made = _relation(graphql, schema, relation, one, principal, number)
            except ServiceError as error:
                if error.status is UNAVAILABLE:
                    raise
                # Queries that the principal may not send, or that need arguments, have no relation.
                continue
            if made is not None:
                found[made.schema_name, made.name] = made
                break
    return [found[key] for key in sorted(found)]


def _candidates(schema: Schema, relation: str, first: str) -> Iterator[str]:
    """The queries that list a relation, those named like it first."""
    yield first
    kind = schema.queries[first].return_type.name
    for name, query in schema.queries.items():
        listed = query.returns_list and not query.relay and not query.returns_count
        same = query.sql_source == schema.queries[first].sql_source
        if name != first and listed and same and query.return_type.name == kind:
            yield name


def _relation(
    graphql: GraphQL, schema: Schema, name: str, query: str, principal: Principal, number: int
) -> Relation | None:
    fields = _fields(schema, query, principal)
    if not fields or schema.queries[query].returns_count:
        return None
    request = Request(f"{{ {query} {{ {' '.join(fields)} }} }}")
    prepared = cast(PostgresPlan, graphql.prepare(request, principal).plan)
    [plan] = prepared.statements.statements
    columns, parts, keys = _columns(schema, plan)
    if not parts:
        return None
    prefix = f"{SETTING.rpartition('.')[0]}.r{number}_"
    select = _SETTING.sub(
        lambda found: f"current_setting('{prefix}{found[1]}')",
        f"SELECT {', '.join(parts)} FROM ({plan.sql}) AS q",
    )
    schema_name, _, bare = name.rpartition(".")
    return Relation(
        schema_name=schema_name or DEFAULT_SCHEMA,
        name=bare,
        kind=TABLE if bare.startswith(TABLES) else VIEW,
        columns=columns,
        select=select,
        values={f"{prefix}{n}": value for n, value in enumerate(plan.values, 1)},
        key=("id",) if "id" in columns.names and not columns.field("id").nullable else (),
        description=schema.types[schema.queries[query].return_type.name].description or "",
        document=Document(query, dict(zip(columns.names, keys, strict=True))),
    )


def _fields(schema: Schema, query: str, principal: Principal) -> list[str]:
    """The scalar fields of a query's type that the principal may read."""
    type_name = schema.queries[query].return_type.name
    if type_name not in schema.types:
        return []
    access = access_of(schema, principal)
    allowed: list[str] = []
    for one in schema.types[type_name].fields:
        if one.field_type.of is not None or not _is_scalar(schema, one):
            continue
        try:
            access.check_declarations(schema, type_name, one.name, shown=True)
        except ServiceError:
            continue
        allowed.append(one.name)
    return allowed


def _is_scalar(schema: Schema, field: Field) -> bool:
    name = field.field_type.name
    return name not in schema.types and not schema.is_abstract(name)


def _columns(schema: Schema, plan: RootStatement) -> tuple[pa.Schema, Sequence[str], Sequence[str]]:
    """The columns, with their SQL and their fields."""
    fields: list[pa.Field] = []
    parts: list[str] = []
    keys: list[str] = []
    taken: set[str] = set()
    for member, held in zip(plan.rows.fields, plan.columns.fields, strict=True):
        match member.type, held:
            case ConstantType(value), _:
                sql = literal(value)
            case ScalarType(arrow=kind), ScalarColumn(number, members=members, cast_to=cast_to):
                sql = f"q.c{number}"
                if members and any(stored != name for stored, name in members.items()):
                    named = (f"WHEN {literal(k)} THEN {literal(v)}" for k, v in members.items())
                    sql = f"CASE {sql} {' '.join(named)} END"
                if pa.types.is_decimal(kind):
                    sql = f"({sql})::numeric({kind.precision}, {kind.scale})"
                elif cast_to is not None:
                    sql = f"({sql})::{NATIVE[kind]}"
            case _:
                continue
        snake = schema.naming.snake(member.key)
        name = snake if snake not in taken else member.key
        taken.add(name)
        keys.append(member.key)
        parts.append(f"{sql} AS {quoted(name)}")
        fields.append(arrow_field(member).with_name(name).remove_metadata())
    return pa.schema(fields), parts, keys
