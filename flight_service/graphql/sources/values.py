"""The SQL expressions of GraphQL values.

A `Column` is a typed expression, a `Document` a JSONB one, and `Built` an object whose members have
expressions of their own, such as the arguments of a view's `jsonb_build_object`. All three have the
same values for the same data, and differ only in speed.

A document's text has the schema's type if PostgreSQL can cast it to that type. Otherwise the
statement fails, and `execution.failing_value` finds the path and the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flight_service.graphql.arrow.casts import CAST_HERE
from flight_service.graphql.postgres.sql import literal
from flight_service.graphql.schema.scalars import Kind
from flight_service.graphql.sources.keys import FieldKeys, rule

TEXTS = frozenset(("text", "varchar"))
AS_TEXT = frozenset(
    ("text", "varchar", "name", "char", "uuid", "int2", "int4", "int8", "numeric", "bool")
)
"""Types whose text is the same as in a document."""
NATIVE: Mapping[str, frozenset[str]] = {
    "int4": frozenset(("int2", "int4", "int8")),
    "float8": frozenset(("float8",)),
    "bool": frozenset(("bool",)),
    "timestamptz": frozenset(("timestamptz",)),
    "date": frozenset(("date",)),
    "time": frozenset(("time",)),
    "numeric": frozenset(("numeric", "int2", "int4", "int8")),
}
CASTABLE: Mapping[str, frozenset[str]] = {
    "float8": frozenset(("int2", "int4", "int8", "numeric")),
}
JSON = frozenset(("json", "jsonb"))


class NotCovered(Exception):
    """A source lacks a value that the statement needs. The message says which."""


@dataclass(frozen=True, slots=True)
class Column:
    """A typed expression; `type` is PostgreSQL's name of it, `_text` and the like for arrays."""

    sql: str
    type: str
    is_enum: bool = False
    computed: bool = False
    """Whether it is computed for each row, as a sub-select is."""
    keys: FieldKeys = field(default_factory=rule)
    """The keys of its document, if it is one."""


@dataclass(frozen=True, slots=True)
class Document:
    """A JSONB expression, and the expression of its text. `computed` if it is built when read."""

    sql: str
    text: str
    computed: bool = False
    keys: FieldKeys = field(default_factory=rule)

    def member(self, name: str) -> "Document":
        """A member of the object."""
        key = literal(self.keys.key(name))
        return Document(
            f"{self.sql}->{key}", f"{self.sql}->>{key}", self.computed, self.keys.within(name)
        )


@dataclass(frozen=True, slots=True)
class Built:
    """An object by its members; `whole`, where there is one, has those that are not listed."""

    members: Mapping[str, "Value"]
    whole: "Document | None" = None
    name: str = ""
    """Its name in the message of `NotCovered`."""
    keys: FieldKeys | None = None
    """The keys of its fields, if its members are listed by key instead of by field."""
    complete: bool = field(default=False)
    """Whether a member that is not listed is null; otherwise it is not known."""
    present: str | None = None
    """An expression that is true if the object is present, null if absent; None if it always is."""


Value = Column | Document | Built


def document(sql: str, *, computed: bool = False, keys: FieldKeys | None = None) -> Document:
    """A document of a JSONB expression."""
    return Document(sql, f"({sql} #>> '{{}}')", computed, keys or rule())


NULL = Document("NULL::jsonb", "NULL::text")


def member(value: Value, name: str) -> Value:
    """A field of an object.

    Raises:
        NotCovered: the object's members are listed, and the field is not among them.
    """
    match value:
        case Built(members=members, keys=keys):
            key = name if keys is None else keys.key(name)
            if key in members:
                return members[key]
            if value.complete:
                return NULL
            if value.whole is None:
                raise NotCovered(f"{value.name} has no column for {name}")
    return as_document(value).member(name)


def as_document(value: Value) -> Document:
    """The same value as a document.

    Raises:
        NotCovered: it is an object of which only some members have expressions.
    """
    match value:
        case Document():
            return value
        case Built(whole=None, members=members, complete=True, keys=keys):
            pairs = ", ".join(
                f"{literal(key)}, {as_document(one).sql}" for key, one in members.items()
            )
            built = f"jsonb_build_object({pairs})"
            if value.present is not None:
                built = f"CASE WHEN {value.present} THEN {built} END"
            return document(f"({built})", computed=True, keys=keys)
        case Built(whole=None, name=name):
            raise NotCovered(f"{name} is no document")
        case Built(whole=whole):
            return whole or NULL
        case Column(sql, "jsonb", computed=computed, keys=keys):
            return document(sql, computed=computed, keys=keys)
        case Column(sql, "json", keys=keys):
            return document(f"({sql})::jsonb", keys=keys)
        case Column(sql):
            return document(f"to_jsonb({sql})")


def text_of(value: Value) -> str:
    """The text of a scalar, as in a document."""
    if isinstance(value, Column) and value.type not in JSON:
        if value.type in TEXTS:
            return value.sql
        if value.type in AS_TEXT or value.is_enum:
            return f"({value.sql})::text"
    return f"({as_document(value).text})"


def typed(value: Value, kind: Kind) -> str:
    """A scalar in the type in which it is compared and ordered. A column is not cast if its type
    fits."""
    if kind.sql == "text":
        return text_of(value)
    if kind.sql == "jsonb":
        return f"NULLIF({as_document(value).sql}, 'null'::jsonb)"
    if isinstance(value, Column):
        if value.type in NATIVE[kind.sql]:
            return value.sql
        if value.type in CASTABLE.get(kind.sql, ()):
            return f"({value.sql})::{kind.sql}"
        if kind.sql == "timestamptz" and value.type == "timestamp":
            return f"({value.sql} AT TIME ZONE 'UTC')"
    return f"({as_document(value).text})::{'int8' if kind.sql == 'int4' else kind.sql}"


def is_native(value: Value, kind: Kind) -> bool:
    """Whether it is a column that has the scalar's type, so that no value of it is cast."""
    if not isinstance(value, Column) or value.type in JSON:
        return False
    return kind.sql in ("text", "jsonb") or value.type in NATIVE[kind.sql]


def cast_after_transfer(value: Value, kind: Kind, *, wide: bool) -> str | None:
    """The type that a document's text is cast to after it has been transferred, see `arrow.casts`;
    None if PostgreSQL casts it."""
    sql_type = "int8" if wide else kind.sql
    return sql_type if isinstance(value, Document) and sql_type in CAST_HERE else None


def transferred(value: Value, kind: Kind, *, wide: bool) -> str:
    """A scalar as it is transferred: in its own type, but decimals as text, which is faster."""
    if cast_after_transfer(value, kind, wide=wide):
        return text_of(value)
    match kind.sql:
        case "text" | "numeric":
            return text_of(value)
        case "jsonb":
            return f"({typed(value, kind)})::text"
        case "int4":
            own = isinstance(value, Column) and value.type in NATIVE["int4"]
            source = value.sql if own and isinstance(value, Column) else as_document(value).text
            return f"({source})::{'int8' if wide else 'int4'}"
    return typed(value, kind)


def any_of(choices: Sequence[tuple[str, Document]]) -> Document:
    """The document of the first condition that is true, or null."""
    computed = any(one.computed for _, one in choices)
    sql, text = (
        "(CASE " + " ".join(f"WHEN {when} THEN {part}" for when, part in parts) + " END)"
        for parts in (
            [(when, one.sql) for when, one in choices],
            [(when, one.text) for when, one in choices],
        )
    )
    return Document(sql, text, computed, choices[0][1].keys)
