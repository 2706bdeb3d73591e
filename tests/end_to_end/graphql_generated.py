"""Generated databases with compiled schemas, queries, and what each query returns.

The expected result is computed from the rows in plain Python, with none of the code under test.

One model of a schema generates and evaluates, so the file is longer than others.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st
from test_graphql_documents import GOOD, NOTHING, SCALARS, Value, of

from tests.end_to_end.graphql_shop import AUTO
from tests.end_to_end.graphql_shop import field as declared

ROLE, SCOPE = "keeper", "read:all"
GRANTED = ["reader"]
"""The role that has the scope."""
SQL_TYPES = {
    "text": "text",
    "whole": "int",
    "number": "float8",
    "exact": "numeric",
    "flag": "boolean",
    "at": "timestamptz",
    "day": "date",
    "clock": "time",
    "uuid": "uuid",
    "any": "jsonb",
    "mood": "text",
}
KINDS: dict[str, Any] = {**SCALARS, "mood": {"Enum": "Mood"}}
MOODS = ["CALM", "WILD"]
VALUES: dict[str, st.SearchStrategy[Value]] = {
    **{name: one.filter(lambda value: value.json != "null") for name, one in GOOD.items()},
    "mood": st.sampled_from(MOODS).map(of),
}

RULES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}] * 5 + [{"requires_scope": SCOPE, "on_deny": "mask"}, {"requires_scope": SCOPE}]
)


@dataclass(frozen=True)
class Member:
    """A field of a type: a scalar, or a list of it of some depth, or an object."""

    name: str
    kind: str
    depth: int = 0
    inner: "Shape | None" = None
    rule: dict[str, Any] = field(default_factory=dict)

    @property
    def compiled(self) -> dict[str, Any]:
        made: Any = {"Object": self.inner.name} if self.inner else KINDS[self.kind]
        for _ in range(self.depth):
            made = {"List": made}
        return declared(self.name, made, **self.rule)


@dataclass(frozen=True)
class Shape:
    """An object type."""

    name: str
    members: tuple[Member, ...]


Row = dict[str, Value]
"""A row: the value of each member, by its name."""


@dataclass(frozen=True)
class Table:
    """A query, its relation and rows. The relation of an interface or union has rows of several
    shapes, each with its type's name."""

    name: str
    form: str
    """How rows are stored: `documents`, `columns`, or a `view` that builds documents."""
    shapes: tuple[Shape, ...]
    abstract: str
    """`interface` or `union`, or empty."""
    rows: tuple[tuple[Shape, str, Row], ...]
    """Each row's shape, tenant and values. Its id is its number."""
    injects: bool
    requires_role: bool
    paged: str
    """The cursor's column, or empty."""


@dataclass(frozen=True)
class Principal:
    """The principal of a query."""

    tenant: str | None
    roles: tuple[str, ...]
    scopes: tuple[str, ...]

    @property
    def claims(self) -> dict[str, Any]:
        roles = [*self.roles, *(GRANTED if self.scopes else ())]
        made: dict[str, Any] = {"sub": "ann", "roles": roles}
        return made | ({"tenant_id": self.tenant} if self.tenant else {})


@dataclass(frozen=True)
class Asked:
    """A query, who asks, and the rows that are expected; None for a refusal."""

    text: str
    principal: Principal
    arrow: Any
    http: Any


@dataclass(frozen=True)
class Example:
    tables: tuple[Table, ...]
    asked: tuple[Asked, ...]


def listed(parts: list[Value]) -> Value:
    """A list of values as one value."""
    return Value(
        f"[{', '.join(one.json for one in parts)}]",
        [one.arrow for one in parts],
        [one.http for one in parts],
    )


@st.composite
def shapes(draw: st.DrawFn, name: str, depth: int = 0) -> Shape:
    """A type of some scalars, lists and objects."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    members = [Member(one, one, rule=draw(RULES)) for one in names]
    lists = draw(st.lists(st.sampled_from(sorted(KINDS.keys() - {"any"})), max_size=2, unique=True))
    members += [
        Member(f"{one}_list", one, depth=draw(st.integers(1, 2)), rule=draw(RULES)) for one in lists
    ]
    if depth < 2 and draw(st.booleans()):
        inner = draw(shapes(f"{name}In", depth + 1))
        members.append(Member("inner", "", draw(st.integers(0, 1)), inner, draw(RULES)))
    return Shape(name, tuple(members))


@st.composite
def values(draw: st.DrawFn, member: Member, *, even: bool) -> Value:
    """A value of a member. `even` lists of lists are those that PostgreSQL's arrays can hold."""
    if draw(st.integers(0, 4)) == 0:
        return NOTHING

    def one() -> Value:
        if member.inner is None:
            return draw(VALUES[member.kind] | st.just(NOTHING))
        row = draw(rows(member.inner, even=even))
        return documented(row)

    if member.depth == 0:
        return draw(VALUES[member.kind]) if member.inner is None else one()
    if member.depth == 1:
        return listed([one() for _ in range(draw(st.integers(0, 2)))])
    width = draw(st.integers(1, 2))
    count = draw(st.integers(1 if even else 0, 2))
    return listed([listed([one() for _ in range(width)]) for _ in range(count)])


@st.composite
def rows(draw: st.DrawFn, shape: Shape, *, even: bool) -> Row:
    return {one.name: draw(values(one, even=even)) for one in shape.members}


def documented(row: Row, **more: Value) -> Value:
    """A row as a document. The values that a query returns are the row itself."""
    shown = ", ".join(f'"{name}": {one.json}' for name, one in (more | row).items())
    return Value(f"{{{shown}}}", row, row)


@st.composite
def tables(draw: st.DrawFn, number: int) -> Table:
    form = draw(st.sampled_from(["documents", "columns", "view"]))
    abstract = draw(st.sampled_from(["", "", "interface", "union"])) if form == "documents" else ""
    made = [draw(shapes(f"T{number}{letter}")) for letter in ("AB" if abstract else "A")]
    if form == "columns":
        # Flat relations have no objects.
        made = [replace(one, members=tuple(m for m in one.members if not m.inner)) for one in made]
    if abstract:
        # Members of one name have one type, so that both can be selected.
        common = {m.name: m for m in made[0].members}
        made[1] = replace(
            made[1], members=tuple(m for m in made[1].members if m.name not in common)
        )
        made[1] = replace(made[1], members=(*made[1].members, made[0].members[0]))
    stored = tuple(
        (shape, draw(st.sampled_from(["t1", "t2"])), draw(rows(shape, even=form != "documents")))
        for shape in (draw(st.sampled_from(made)) for _ in range(draw(st.integers(0, 4))))
    )
    can_page = not abstract and form == "documents"
    has_whole = any(m.name == "whole" and not m.rule for m in made[0].members)
    return Table(
        f"q{number}",
        form,
        tuple(made),
        abstract,
        stored,
        draw(st.integers(0, 3)) == 0,
        draw(st.integers(0, 5)) == 0,
        draw(st.sampled_from(["", "id", *(["whole"] if has_whole else [])])) if can_page else "",
    )


# Queries, and what they return.


@dataclass(frozen=True)
class Selection:
    text: str
    arrow: dict[str, Any]
    """The values that a row returns are picked by these: a member, with an inner selection."""
    denied: bool
    """Whether the principal may not select all of it."""


@st.composite
def selections(draw: st.DrawFn, shape: Shape, who: Principal) -> Selection:
    picked = draw(
        st.lists(st.sampled_from(shape.members), min_size=1, max_size=4, unique_by=lambda m: m.name)
    )
    parts: list[str] = []
    found: dict[str, Any] = {}
    denied = False
    for number, member in enumerate(picked):
        is_renamed = member.kind != "any" and draw(st.integers(0, 4)) == 0
        key = f"{shape.name}_{number}" if is_renamed else member.name
        inner = draw(selections(member.inner, who)) if member.inner else None
        parts.append(
            ("" if key == member.name else f"{key}: ")
            + member.name
            + (f" {{ {inner.text} }}" if inner else "")
        )
        lacks = bool(member.rule) and SCOPE not in who.scopes
        is_masked = lacks and member.rule.get("on_deny") == "mask"
        denied |= (lacks and not is_masked) or bool(inner and inner.denied and not is_masked)
        found[key] = None if is_masked else (member, inner)
    return Selection(" ".join(parts), found, denied)


def shown(selection: Selection, row: Row, side: str) -> dict[str, Any]:
    """What a row returns, in Arrow or over HTTP."""
    return {
        key: None if one is None else _shown(row[one[0].name], one[1], side)
        for key, one in selection.arrow.items()
    }


def _shown(value: Value, inner: Selection | None, side: str) -> Any:
    found = getattr(value, side)
    return found if inner is None else _within(found, inner, side)


def _within(found: Any, inner: Selection, side: str) -> Any:
    if isinstance(found, list):
        return [_within(one, inner, side) for one in found]
    return None if found is None else shown(inner, found, side)


PRINCIPALS = st.builds(
    Principal,
    st.sampled_from(["t1", "t1", "t2", None]),
    st.sampled_from([(), (ROLE,)]),
    st.sampled_from([(), (SCOPE,)]),
)
FILTERED = ("whole", "text", "flag", "mood")


@st.composite
def filters(draw: st.DrawFn, table: Table) -> tuple[str, Callable[[Row, int], bool]]:
    """A condition on the id or on a scalar without a rule, and which rows it holds for."""
    plain = [m for m in table.shapes[0].members if m.name in FILTERED and not m.rule]
    if table.abstract or not plain or draw(st.booleans()):
        least = draw(st.integers(-1, 4))
        return f"{{id: {{gte: {least}}}}}", lambda _, number: number >= least
    member = draw(st.sampled_from(plain))
    if draw(st.integers(0, 3)) == 0:
        wanted = draw(st.booleans())
        return (
            f"{{{member.name}: {{isnull: {json.dumps(wanted)}}}}}",
            lambda row, _: (row[member.name].arrow is None) == wanted,
        )
    held = [row[member.name].arrow for _, _, row in table.rows]
    sample = [one for one in held if one is not None] or [draw(VALUES[member.kind]).arrow]
    value = draw(st.sampled_from(sample))
    is_equal = draw(st.booleans())
    written = value if member.name == "mood" else json.dumps(value)
    return (
        f"{{{member.name}: {{{'eq' if is_equal else 'neq'}: {written}}}}}",
        lambda row, _: (
            row[member.name].arrow is not None and (row[member.name].arrow == value) == is_equal
        ),
    )


def _by_id(one: tuple[int, Shape, Row]) -> Any:
    return one[0]


def _by_whole(one: tuple[int, Shape, Row]) -> Any:
    value = one[2]["whole"].arrow
    return value is None, value or 0, one[0]


@st.composite
def asked(draw: st.DrawFn, table: Table) -> Asked:
    who = draw(PRINCIPALS)
    picked = {shape.name: draw(selections(shape, who)) for shape in table.shapes}
    denied = any(one.denied for one in picked.values())
    denied |= table.requires_role and ROLE not in who.roles
    denied |= table.injects and who.tenant is None
    condition, holds = draw(filters(table))
    kept = [
        (number, shape, row)
        for number, (shape, tenant, row) in enumerate(table.rows)
        if holds(row, number) and (not table.injects or tenant == who.tenant)
    ]
    if table.abstract:
        inner = " ".join(f"... on {name} {{ {one.text} }}" for name, one in picked.items())
        text = f"__typename {inner}" + (" id" if table.abstract == "interface" else "")
    else:
        text = f"id {picked[table.shapes[0].name].text}"
    arguments = f"where: {condition}"
    has_more = False
    if table.paged:
        size = draw(st.integers(1, 3))
        arguments += f", first: {size}"
        kept.sort(key=_by_whole if table.paged == "whole" else _by_id)
        has_more, kept = len(kept) > size, kept[:size]
        text = f"edges {{ node {{ {text} }} }} pageInfo {{ hasNextPage }}"
    else:
        is_descending = draw(st.booleans()) and table.abstract != "union"
        if table.abstract != "union":
            arguments += f", orderBy: {{id: {'DESC' if is_descending else 'ASC'}}}"
        kept = kept[::-1] if is_descending else kept
        limit, offset = draw(st.none() | st.integers(0, 5)), draw(st.integers(0, 2))
        if table.abstract != "union":
            arguments += f", offset: {offset}" + (f", limit: {limit}" if limit is not None else "")
            kept = kept[offset:][: len(kept) if limit is None else limit]
    if table.abstract == "union":
        arguments = ""
        kept = [
            (number, shape, row)
            for number, (shape, tenant, row) in enumerate(table.rows)
            if not table.injects or tenant == who.tenant
        ]

    def expected(side: str) -> Any:
        rows = [one_row(number, shape, row, side) for number, shape, row in kept]
        if not table.paged:
            return rows
        edges = [{"node": row} for row in rows]
        page = {"edges": edges, "pageInfo": {"hasNextPage": has_more}}
        return [page] if side == "arrow" else page

    def one_row(number: int, shape: Shape, row: Row, side: str) -> dict[str, Any]:
        own = shown(picked[shape.name], row, side)
        if not table.abstract:
            return {"id": number, **own}
        more: dict[str, Any] = {"id": number} if table.abstract == "interface" else {}
        nothing: dict[str, Any] = {}
        if side == "arrow":
            # In Arrow a row has the fields of all members, absent ones null.
            nothing = {key: None for one in picked.values() for key in one.arrow}
        return {**nothing, "__typename": shape.name, **more, **own}

    query = f"{{ {table.name}{f'({arguments})' if arguments else ''} {{ {text} }} }}"
    if denied:
        return Asked(query, who, None, None)
    return Asked(query, who, expected("arrow"), expected("http"))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    made = tuple(draw(tables(number)) for number in range(draw(st.integers(1, 2))))
    queries = tuple(draw(asked(table)) for table in made for _ in range(3))
    return Example(made, queries)


# The database and the compiled schema.


def sql(example: Example, schema: str) -> list[str]:
    """The statements that create an example's relations."""
    made = [f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}"]
    for table in example.tables:
        made += _relations(table, f"{schema}.{table.name}")
    return made


def _relations(table: Table, name: str) -> list[str]:
    schema, _, bare = name.partition(".")
    stored = [
        f'{{"tenant": "{tenant}", "n": {number}, "data": '
        + documented(row, id=of(number), __typename=of(shape.name)).json
        + "}"
        for number, (shape, tenant, row) in enumerate(table.rows)
    ]
    given = "[" + ", ".join(stored) + "]"
    text = "$given$" + given + "$given$"
    source = f"jsonb_to_recordset({text}::jsonb) AS given (n int, tenant text, data jsonb)"
    documents = f"{schema}.tv_{bare}"
    create = f"CREATE TABLE {documents} AS SELECT n AS id, tenant AS tenant_id, data FROM {source}"
    made = [create, f"ALTER TABLE {documents} ADD PRIMARY KEY (id)"]
    if table.form == "documents":
        return made
    columns = [f"data->'{m.name}' AS \"{m.name}\"" for m in table.shapes[0].members if m.inner]
    columns += [f'{_column(m)} AS "{m.name}"' for m in table.shapes[0].members if not m.inner]
    flat = f"{schema}.ta_{bare}"
    made += [
        f"CREATE TABLE {flat} AS SELECT id, tenant_id, {', '.join(columns)} FROM {documents}",
        f"ALTER TABLE {flat} ADD PRIMARY KEY (id)",
    ]
    if table.form == "view":
        built = ", ".join(f"'{m.name}', \"{m.name}\"" for m in table.shapes[0].members)
        made.append(
            f"CREATE VIEW {schema}.v_{bare} AS SELECT id, tenant_id, "
            f"jsonb_build_object('id', id, {built}) AS data FROM {flat}"
        )
    return made


def _column(member: Member) -> str:
    """A member of a document as a column's value."""
    kind = SQL_TYPES[member.kind]
    if member.depth == 0:
        return f"(data->>'{member.name}')::{kind}" if member.kind != "any" else "data->'any'"
    one = f"SELECT (e #>> '{{}}')::{kind} FROM jsonb_array_elements({{}}) AS e"
    path = f"data->'{member.name}'"
    absent = f"jsonb_typeof({path}) IS DISTINCT FROM 'array'"
    if member.depth == 1:
        inner = one.replace("({})", f"({path})")
        return f"CASE WHEN {absent} THEN NULL ELSE ARRAY({inner}) END"
    inner = one.replace("({})", "(r)")
    rows = f"SELECT ARRAY({inner}) FROM jsonb_array_elements({path}) AS r"
    return f"CASE WHEN {absent} THEN NULL ELSE ARRAY({rows}) END"


def compiled(example: Example, schema: str) -> dict[str, Any]:
    """The compiled schema of an example."""
    made: dict[str, Any] = {
        "types": [],
        "interfaces": [],
        "unions": [],
        "queries": [],
        "enums": [{"name": "Mood", "values": MOODS}],
        "security": {"role_definitions": [{"name": one, "scopes": [SCOPE]} for one in GRANTED]},
    }
    for table in example.tables:
        abstract = f"A{table.name}" if table.abstract else ""
        for shape in table.shapes:
            _declare(shape, made, abstract if table.abstract == "interface" else "", top=True)
        if table.abstract == "interface":
            made["interfaces"].append(
                {"name": abstract, "fields": [declared("id", "Int", nullable=False)]}
            )
        elif table.abstract == "union":
            names = [shape.name for shape in table.shapes]
            made["unions"].append({"name": abstract, "member_types": names})
        prefix = {"documents": "tv_", "columns": "ta_", "view": "v_"}[table.form]
        query: dict[str, Any] = {
            "name": table.name,
            "return_type": abstract or table.shapes[0].name,
            "returns_list": True,
            "nullable": False,
            "sql_source": f"{schema}.{prefix}{table.name}",
            "jsonb_column": "" if table.form == "columns" else "data",
            "auto_params": AUTO,
        }
        if table.injects:
            query["inject_params"] = {"tenant_id": {"source": "jwt", "claim": "tenant_id"}}
        if table.requires_role:
            query["requires_role"] = ROLE
        if table.paged:
            query |= {"relay": True, "relay_cursor_column": table.paged}
        made["queries"].append(query)
    return made


def _declare(shape: Shape, made: dict[str, Any], implements: str, *, top: bool) -> None:
    fields = [declared("id", "Int", nullable=False)] if top else []
    fields += [one.compiled for one in shape.members]
    one = {"name": shape.name, "fields": fields}
    made["types"].append(one | ({"implements": [implements]} if implements else {}))
    for member in shape.members:
        if member.inner and all(t["name"] != member.inner.name for t in made["types"]):
            _declare(member.inner, made, "", top=False)
