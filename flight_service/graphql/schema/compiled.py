"""The types of `schema.compiled.json`, which FraiseQL's compiler writes.

Unknown keys are ignored, since the compiler may be newer than this service. A known key with a
value of another type is an error with its path in the file.
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from flight_service.graphql.schema.security import (
    Actor,
    Security,
    SessionVariables,
    unenforced,
)


class Ref(msgspec.Struct, frozen=True):
    """A reference to a type: a name, or a list of `of`."""

    name: str = ""
    of: "Ref | None" = None
    of_nullable: bool = True

    @property
    def base(self) -> str:
        """The name of the type without lists."""
        return self.of.base if self.of else self.name

    @property
    def depth(self) -> int:
        """The number of lists around it."""
        return 1 + self.of.depth if self.of else 0


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
    """What a principal without the scope gets for a selected field: an error, or null."""
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
    relay: bool = False


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
    value: str | int | None = None
    """What documents and columns hold for it; None where that is its name."""
    description: str | None = None
    deprecated: Deprecated = None


class Enum(msgspec.Struct, frozen=True):
    name: str
    values: tuple[EnumValue | str, ...]
    description: str | None = None

    def members(self) -> tuple[EnumValue, ...]:
        """Its members, those that are written as a name alone too."""
        return tuple(EnumValue(one) if isinstance(one, str) else one for one in self.values)

    def stored(self) -> dict[str, str | int]:
        """What documents and columns hold, by the member's name."""
        return {one.name: one.name if one.value is None else one.value for one in self.members()}


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
    nullable: bool = True
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
    """Where an injected parameter's value comes from: a claim of the token, or data that FraiseQL
    looks up for the principal."""

    source: Literal["jwt", "enrichment"]
    claim: str


class Query(msgspec.Struct, frozen=True):
    name: str
    return_type: Ref
    returns_list: bool = False
    returns_count: bool = False
    """Whether it returns the number of rows instead of the rows."""
    nullable: bool = False
    sql_source: str | None = None
    jsonb_column: str | None = None
    """The column of the documents; empty if the relation has a column for each field."""
    auto_params: AutoParams = AutoParams()
    arguments: tuple[Argument, ...] = ()
    inject_params: dict[str, Injected] = {}
    requires_role: Roles = None
    requires_actor: tuple[Actor, ...] = ()
    """The kinds of principals that may use it; empty for all."""
    cache_ttl_seconds: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How long its result may be cached; not at all if it is None or 0."""
    additional_views: tuple[str, ...] = ()
    """Further relations that its rows depend on."""
    relay: bool = False
    relay_cursor_column: str | None = None
    description: str | None = None
    deprecated: Deprecated = None


class UnexecutedOperation(msgspec.Struct, frozen=True):
    """A mutation or subscription: part of the schema for clients, but not executed here."""

    name: str
    return_type: Ref
    returns_list: bool = False
    nullable: bool = True
    arguments: tuple[Argument, ...] = ()
    requires_role: Roles = None
    description: str | None = None
    deprecated: Deprecated = None


class Directive(msgspec.Struct, frozen=True):
    """A directive that the schema defines."""

    name: str
    locations: tuple[str, ...] = ()
    arguments: tuple[Argument, ...] = ()
    is_repeatable: bool = False
    description: str | None = None


class Compiled(msgspec.Struct, frozen=True):
    """The whole file."""

    types: tuple[Type, ...] = ()
    queries: tuple[Query, ...] = ()
    mutations: tuple[UnexecutedOperation, ...] = ()
    subscriptions: tuple[UnexecutedOperation, ...] = ()
    enums: tuple[Enum, ...] = ()
    input_types: tuple[InputType, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    unions: tuple[Union, ...] = ()
    directives: tuple[Directive, ...] = ()
    naming_convention: Literal["preserve", "camelCase"] = "preserve"
    naming_acronyms: tuple[str, ...] = ()
    schema_format_version: int | None = None
    security: Security | None = None
    session_variables: SessionVariables = SessionVariables()

    @property
    def unenforced(self) -> tuple[str, ...]:
        """What protects data in FraiseQL but is not enforced here, with the paths in the file."""
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
    """The roles of a `requires_role`, of which a principal needs one; empty if none is required."""
    if required is None:
        return ()
    return (required,) if isinstance(required, str) else required


def deprecation(deprecated: Deprecated) -> str | None:
    """The reason that clients see; None if it is not deprecated."""
    match deprecated:
        case None | False:
            return None
        case str() as reason:
            return reason
        case Deprecation(reason) if reason:
            return reason
        case _:
            return "No longer supported"
