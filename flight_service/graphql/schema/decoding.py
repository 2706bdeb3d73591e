"""Reads a compiled schema from its file, and checks what the types of its values do not say."""

from pathlib import Path
from typing import Any

import msgspec

from flight_service.graphql.errors import SchemaInvalid
from flight_service.graphql.schema.compiled import Compiled, InputType, Interface, Type
from flight_service.graphql.schema.naming import camel
from flight_service.graphql.schema.references import NAME, normalise
from flight_service.graphql.schema.security import check_session_variables

FORMAT_VERSION = 1


def read(path: Path) -> Compiled:
    """Reads a compiled schema.

    Raises:
        SchemaInvalid: there is no such file, or it is not a compiled schema; names the path in it.
    """
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise SchemaInvalid(
            f"the compiled schema {path} cannot be read: {error.strerror}; "
            "FRAISEQL_SCHEMA says where it is"
        ) from error
    except SchemaInvalid as error:
        raise SchemaInvalid(f"{path}: {error}") from error


def decode(text: bytes) -> Compiled:
    """Decodes a compiled schema.

    Raises:
        SchemaInvalid: names the path of the invalid value, such as `$.types[0].fields[2].name`.
    """
    try:
        raw = msgspec.json.decode(text)
        if isinstance(raw, dict):
            _refuse_authoring(raw)
            normalise(raw)
            _drop_empty_types(raw)
        compiled = msgspec.convert(raw, Compiled)
    except msgspec.MsgspecError as error:
        raise SchemaInvalid(str(error)) from error
    compiled = _with_public_names(compiled)
    _check(compiled)
    return compiled


def _with_public_names(compiled: Compiled) -> Compiled:
    """The schema, its operations with the names that clients use."""
    if compiled.naming_convention != "camelCase":
        return compiled
    sections = {
        section: tuple(
            msgspec.structs.replace(one, name=camel(one.name)) for one in getattr(compiled, section)
        )
        for section in ("queries", "mutations", "subscriptions")
    }
    return msgspec.structs.replace(compiled, **sections)


def _refuse_authoring(raw: dict[str, Any]) -> None:
    """Refuses a schema as it is authored, whose format is similar to the compiled one."""
    for section, members, key in (
        ("types", "fields", "field_type"),
        ("queries", "arguments", "arg_type"),
    ):
        for owner in raw.get(section) or ():
            for one in (isinstance(owner, dict) and owner.get(members)) or ():
                if isinstance(one, dict) and "type" in one and key not in one:
                    raise SchemaInvalid(
                        "it is a schema as it is authored, not compiled: run `fraiseql compile`, "
                        "and let FRAISEQL_SCHEMA name the schema.compiled.json that it writes"
                    )


def _drop_empty_types(raw: dict[str, Any]) -> None:
    """Drops types without fields, of which the compiler knew only the name. Fields of such a type
    are scalars."""
    needed = {one["return_type"].get("name") for one in raw.get("queries") or () if _returns(one)}
    needed |= {
        name
        for union in raw.get("unions") or ()
        if isinstance(union, dict)
        for name in union.get("member_types") or ()
    }
    for section in ("types", "input_types"):
        if isinstance(raw.get(section), list):
            raw[section] = [
                one
                for one in raw[section]
                if not isinstance(one, dict)
                or one.get("fields") not in (None, [])
                or one.get("name") in needed
            ]


def _returns(query: Any) -> bool:
    return isinstance(query, dict) and isinstance(query.get("return_type"), dict)


def _check(compiled: Compiled) -> None:
    """Checks that names are valid and unique, and that references resolve.

    A scalar may have any name, so an unknown name is only invalid where an object is required.
    """
    outputs: set[str] = set()
    for section, values in (
        ("types", compiled.types),
        ("interfaces", compiled.interfaces),
        ("unions", compiled.unions),
        ("enums", compiled.enums),
        ("input_types", compiled.input_types),
    ):
        _check_names(section, values)
        for n, value in enumerate(values):
            if value.name in outputs:
                raise SchemaInvalid(
                    f"the name {value.name!r} is defined twice - at `$.{section}[{n}].name`"
                )
            outputs.add(value.name)
    for section, values in (
        ("queries", compiled.queries),
        ("mutations", compiled.mutations),
        ("subscriptions", compiled.subscriptions),
    ):
        _check_names(section, values)
    if compiled.schema_format_version not in (None, FORMAT_VERSION):
        raise SchemaInvalid(
            f"its format is {compiled.schema_format_version}, and this service reads "
            f"{FORMAT_VERSION} - at `$.schema_format_version`"
        )
    _check_members(compiled)
    _check_queries(compiled)
    check_session_variables(compiled.session_variables)


def _check_names(section: str, values: tuple[Any, ...]) -> None:
    for n, value in enumerate(values):
        path = f"$.{section}[{n}]"
        _check_name(value.name, f"{path}.name")
        for members in ("fields", "arguments"):
            seen: set[str] = set()
            for m, member in enumerate(getattr(value, members, ())):
                where = f"{path}.{members}[{m}].name"
                _check_name(member.name, where)
                if member.name in seen:
                    raise SchemaInvalid(f"{member.name!r} occurs twice - at `{where}`")
                seen.add(member.name)
        if isinstance(value, Type | Interface | InputType) and not value.fields:
            raise SchemaInvalid(f"{value.name} has no fields - at `{path}.fields`")


def _check_name(name: str, path: str) -> None:
    if not NAME.match(name) or name.startswith("__"):
        raise SchemaInvalid(f"{name!r} is no GraphQL name - at `{path}`")


def _check_members(compiled: Compiled) -> None:
    types = {one.name for one in compiled.types}
    interfaces = {one.name for one in compiled.interfaces}
    for n, one in enumerate(compiled.types):
        for m, name in enumerate(one.implements):
            if name not in interfaces:
                raise SchemaInvalid(
                    f"{one.name} implements {name!r}, which is no interface "
                    f"- at `$.types[{n}].implements[{m}]`"
                )
    for n, union in enumerate(compiled.unions):
        if not union.member_types:
            raise SchemaInvalid(f"{union.name} has no members - at `$.unions[{n}].member_types`")
        for m, name in enumerate(union.member_types):
            if name not in types:
                raise SchemaInvalid(
                    f"{union.name} has the member {name!r}, which is no type "
                    f"- at `$.unions[{n}].member_types[{m}]`"
                )


def _check_queries(compiled: Compiled) -> None:
    types = {one.name: one for one in compiled.types}
    composite = {*types, *(i.name for i in compiled.interfaces), *(u.name for u in compiled.unions)}
    for n, query in enumerate(compiled.queries):
        path = f"$.queries[{n}]"
        if query.return_type.of is not None or query.return_type.name not in composite:
            raise SchemaInvalid(
                f"{query.name} returns {query.return_type.base!r}, which is no type, interface "
                f"or union - at `{path}.return_type`"
            )
        own = types.get(query.return_type.name)
        if not query.sql_source and (own is None or not own.sql_source):
            raise SchemaInvalid(
                f"neither the query {query.name} nor its type says where its rows are "
                f"- at `{path}.sql_source`"
            )
