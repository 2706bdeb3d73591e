"""`schema.compiled.json`: the contract between FraiseQL's compiler and this executor, as read.

Unknown keys are ignored, since the compiler may be newer than this reader. A known key of an
unknown shape is refused with its path in the file: to guess there would be to answer wrongly.
"""

import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from flight_service.graphql.errors import SchemaInvalid
from flight_service.graphql.schema.security import (
    Actor,
    Security,
    SessionVariables,
    check_session_variables,
    unenforced,
)

WRAPPERS = {"Object", "Enum", "Scalar", "Input", "Interface", "Union"}
SPELLINGS = {"Id": "ID", "Uuid": "UUID", "Bool": "Boolean", "JSON": "Json", "Datetime": "DateTime"}
"""Other spellings of the built-in scalars that compilers have written."""
NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*\Z")


class Ref(msgspec.Struct, frozen=True):
    """A reference to a type: a name, or a list of what `of` refers to."""

    name: str = ""
    of: "Ref | None" = None
    of_nullable: bool = True

    @property
    def base(self) -> str:
        """The name under all lists."""
        return self.of.base if self.of else self.name


class Deprecation(msgspec.Struct, frozen=True):
    reason: str | None = None


Deprecated = bool | str | Deprecation | None
Roles = str | tuple[str, ...] | None


class Field(msgspec.Struct, frozen=True):
    name: str
    field_type: Ref
    nullable: bool = False
    description: str | None = None
    deprecated: Deprecated = None
    requires_role: Roles = None
    requires_scope: str | None = None
    on_deny: Literal["reject", "mask"] = "reject"
    """What becomes of a selected field whose scope is not held: an error, or null."""
    authorize: bool = False
    encryption: Any = None


class Type(msgspec.Struct, frozen=True):
    name: str
    fields: tuple[Field, ...] = ()
    sql_source: str | None = None
    jsonb_column: str | None = None
    implements: tuple[str, ...] = ()
    description: str | None = None
    requires_role: Roles = None


class Interface(msgspec.Struct, frozen=True):
    name: str
    fields: tuple[Field, ...] = ()
    description: str | None = None


class Union(msgspec.Struct, frozen=True):
    name: str
    member_types: tuple[str, ...]
    description: str | None = None


class EnumValue(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    deprecated: Deprecated = None


class Enum(msgspec.Struct, frozen=True):
    name: str
    values: tuple[EnumValue | str, ...]
    description: str | None = None


class Argument(msgspec.Struct, frozen=True):
    name: str
    arg_type: Ref
    nullable: bool = False
    default_value: Any = msgspec.UNSET
    description: str | None = None
    deprecated: Deprecated = None


class InputField(msgspec.Struct, frozen=True):
    name: str
    field_type: Ref
    nullable: bool = False
    default_value: Any = msgspec.UNSET
    description: str | None = None
    deprecated: Deprecated = None


class InputType(msgspec.Struct, frozen=True):
    name: str
    fields: tuple[InputField, ...] = ()
    description: str | None = None


class AutoParams(msgspec.Struct, frozen=True):
    has_where: bool = False
    has_order_by: bool = False
    has_limit: bool = False
    has_offset: bool = False


class Injected(msgspec.Struct, frozen=True):
    """Where an injected parameter's value comes from: the token's claim of that name."""

    source: str
    claim: str


class Query(msgspec.Struct, frozen=True):
    name: str
    return_type: Ref
    returns_list: bool = False
    nullable: bool = False
    sql_source: str | None = None
    jsonb_column: str | None = None
    auto_params: AutoParams = AutoParams()
    arguments: tuple[Argument, ...] = ()
    inject_params: dict[str, Injected] = {}
    cache_ttl_seconds: int | None = None
    additional_views: tuple[str, ...] = ()
    requires_role: Roles = None
    requires_actor: tuple[Actor, ...] = ()
    """The kinds of principals that may ask it; all, where there is none."""
    relay: bool = False
    relay_cursor_column: str | None = None
    description: str | None = None
    deprecated: Deprecated = None


class Operation(msgspec.Struct, frozen=True):
    """A mutation or a subscription: described to clients, never executed here."""

    name: str
    return_type: Ref
    returns_list: bool = False
    nullable: bool = True
    arguments: tuple[Argument, ...] = ()
    description: str | None = None
    deprecated: Deprecated = None


class Compiled(msgspec.Struct, frozen=True):
    """The whole file."""

    types: tuple[Type, ...] = ()
    queries: tuple[Query, ...] = ()
    mutations: tuple[Operation, ...] = ()
    subscriptions: tuple[Operation, ...] = ()
    enums: tuple[Enum, ...] = ()
    input_types: tuple[InputType, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    unions: tuple[Union, ...] = ()
    naming_acronyms: tuple[str, ...] = ()
    security: Security | None = None
    session_variables: SessionVariables = SessionVariables()

    @property
    def unenforced(self) -> tuple[str, ...]:
        """What protects data in FraiseQL and is not enforced here, with the places in the file."""
        return (
            *unenforced(self.security, self.session_variables),
            *(
                f"`{key}` of {owner.name}.{field.name}"
                for owner in (*self.types, *self.interfaces)
                for field in owner.fields
                for key in ("authorize", "encryption")
                if getattr(field, key)
            ),
        )


Named = TypeVar("Named", bound=Type | Interface | Union | Enum | InputType)


def roles(required: Roles) -> tuple[str, ...]:
    """The roles of a `requires_role`, any one of which suffices; none when nothing is required."""
    if required is None:
        return ()
    return (required,) if isinstance(required, str) else required


def deprecation(deprecated: Deprecated) -> str | None:
    """The reason to show clients, None when not deprecated."""
    match deprecated:
        case None | False:
            return None
        case str() as reason:
            return reason
        case Deprecation(reason) if reason:
            return reason
        case _:
            return "No longer supported"


def read(path: Path) -> Compiled:
    """Reads a compiled schema.

    Raises:
        SchemaInvalid: there is no such file, or it is not a compiled schema; with the place.
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
    """Reads a compiled schema from its text.

    Raises:
        SchemaInvalid: with the path of the wrong value, such as `$.types[0].fields[2].name`.
    """
    try:
        raw = msgspec.json.decode(text)
        if isinstance(raw, dict):
            _resolve_references(raw)
        compiled = msgspec.convert(raw, Compiled)
    except msgspec.MsgspecError as error:
        raise SchemaInvalid(str(error)) from error
    _check(compiled)
    return compiled


def _resolve_references(raw: dict[str, Any]) -> None:
    """Turns every type reference, in whatever form it is written, into a `Ref`'s own form."""
    for section, members, key in (
        ("types", "fields", "field_type"),
        ("interfaces", "fields", "field_type"),
        ("input_types", "fields", "field_type"),
        ("queries", "arguments", "arg_type"),
        ("mutations", "arguments", "arg_type"),
        ("subscriptions", "arguments", "arg_type"),
    ):
        for n, owner in _dicts(raw.get(section)):
            if "return_type" in owner:
                owner["return_type"] = _reference(
                    owner["return_type"], f"$.{section}[{n}].return_type"
                )
            for m, member in _dicts(owner.get(members)):
                # Input fields have been written with either key.
                written = key if key in member else "arg_type"
                if written in member:
                    place = f"$.{section}[{n}].{members}[{m}].{written}"
                    member[key] = _reference(member[written], place)


def _dicts(values: Any) -> list[tuple[int, dict[str, Any]]]:
    if not isinstance(values, list):
        return []
    return [(n, value) for n, value in enumerate(values) if isinstance(value, dict)]


def _reference(written: Any, place: str) -> dict[str, Any]:
    match written:
        case str() if NAME.match(written):
            return {"name": SPELLINGS.get(written, written)}
        case {"List": inner} if len(written) == 1:
            never_null = isinstance(inner, dict) and "NonNull" in inner
            return {"of": _reference(inner, f"{place}.List"), "of_nullable": not never_null}
        case {"NonNull": inner} if len(written) == 1:
            return _reference(inner, f"{place}.NonNull")
        case dict() if len(written) == 1:
            ((kind, name),) = written.items()
            if kind in WRAPPERS and isinstance(name, str) and NAME.match(name):
                return {"name": SPELLINGS.get(name, name)}
    raise SchemaInvalid(
        f"{msgspec.json.encode(written).decode()} is no type reference: expected a name, "
        f'{{"List": …}}, or one of {", ".join(sorted(WRAPPERS))} with a name - at `{place}`'
    )


def _check(compiled: Compiled) -> None:
    """What the shapes alone do not say: names are names, each once, and references lead somewhere.

    A scalar may be of any name, so an unknown name is only wrong where an object must stand.
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
    if not compiled.queries:
        raise SchemaInvalid("there is no query, and a schema needs one - at `$.queries`")
    _check_members(compiled)
    _check_queries(compiled)
    check_session_variables(compiled.session_variables)


def _check_names(section: str, values: tuple[Any, ...]) -> None:
    for n, value in enumerate(values):
        place = f"$.{section}[{n}]"
        _check_name(value.name, f"{place}.name")
        for members in ("fields", "arguments"):
            seen: set[str] = set()
            for m, member in enumerate(getattr(value, members, ())):
                where = f"{place}.{members}[{m}].name"
                _check_name(member.name, where)
                if member.name in seen:
                    raise SchemaInvalid(f"{member.name!r} occurs twice - at `{where}`")
                seen.add(member.name)
        if hasattr(value, "fields") and not value.fields:
            raise SchemaInvalid(f"{value.name} has no fields - at `{place}.fields`")


def _check_name(name: str, place: str) -> None:
    if not NAME.match(name) or name.startswith("__"):
        raise SchemaInvalid(f"{name!r} is no GraphQL name - at `{place}`")


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
        place = f"$.queries[{n}]"
        if query.return_type.of is not None or query.return_type.name not in composite:
            raise SchemaInvalid(
                f"{query.name} returns {query.return_type.base!r}, which is no type, interface "
                f"or union - at `{place}.return_type`"
            )
        own = types.get(query.return_type.name)
        if query.sql_source is None and (own is None or own.sql_source is None):
            raise SchemaInvalid(
                f"neither the query {query.name} nor its type says where its rows are "
                f"- at `{place}.sql_source`"
            )
        for name, injected in query.inject_params.items():
            if injected.source != "jwt":
                raise SchemaInvalid(
                    f"{name} of {query.name} comes from {injected.source!r}, and only `jwt` is "
                    f"known - at `{place}.inject_params.{name}.source`"
                )
        if query.relay and not query.returns_list:
            raise SchemaInvalid(f"{query.name} pages, but returns no list - at `{place}.relay`")
