"""GraphQL documents for any schema: valid ones with values of all kinds, and damaged ones."""

import json
import math
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    is_required_argument,
)
from hypothesis import strategies as st

DEPTH = 4
WORDS = [
    *("", "a", "ann", "%", "_", "\\", "'", '"', "x%_", "\0", "\ud800", "naïve 😀", "(", "[", "{}"),
    *("1", "-1", "1e400", "NaN", "infinity", "null", "true", "2026-01-01", "2026-01-01T00:00:00Z"),
    *("24:00", "0001-01-01 BC", "00000000-0000-0000-0000-000000000001", "[1,2]", "x" * 2000),
]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8)
INTS = st.sampled_from([0, 1, 2, 3, -1, 2**31 - 1, 2**31, 2**63, -(2**63) - 1]) | st.integers()
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.5, 1e308, 5e-324])
KEYS = st.sampled_from(["a", "id", "name", "salary", "email", "card", "friends", "number"])
"""Keys of documents: those of the fields that a principal may see, of others, and of none."""
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


def written(value: Any) -> str:
    """A JSON value as GraphQL writes it."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {written(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(written, value)) + "]"
        case float() if math.isfinite(value) and value == int(value):
            return f"{value:.1f}" if abs(value) < 1e15 else repr(value)
    return json.dumps(value)


@st.composite
def values(draw: st.DrawFn, kind: Any, texts: st.SearchStrategy[str], depth: int = 0) -> str:
    """A value for an input type, most often one that fits it."""
    if isinstance(kind, GraphQLNonNull):
        kind = kind.of_type
    elif draw(st.integers(0, 30)) == 0:
        return "null"
    match kind:
        case GraphQLList():
            parts = draw(st.lists(values(kind.of_type, texts, depth + 1), max_size=3))
            return f"[{', '.join(parts)}]"
        case GraphQLInputObjectType():
            names = draw(
                st.lists(st.sampled_from(sorted(kind.fields)), max_size=2 if depth < 5 else 1)
            )
            inner = (
                f"{name}: {draw(values(kind.fields[name].type, texts, depth + 1))}"
                for name in dict.fromkeys(names)
            )
            return "{" + ", ".join(inner if depth < 8 else ()) + "}"
        case GraphQLEnumType():
            return draw(st.sampled_from([*kind.values, *kind.values, *kind.values, "NOTHING"]))
        case GraphQLScalarType(name="Int"):
            return written(draw(INTS))
        case GraphQLScalarType(name="Float"):
            return written(draw(FLOATS | INTS))
        case GraphQLScalarType(name="Boolean"):
            return draw(st.sampled_from(["true", "false"]))
        case GraphQLScalarType(name="JSON" | "Json"):
            return written(draw(JSONS))
    if draw(st.integers(0, 19)):
        return written(draw(texts))
    return written(draw(INTS | FLOATS | st.booleans()))


@st.composite
def selections(
    draw: st.DrawFn, schema: GraphQLSchema, kind: Any, texts: st.SearchStrategy[str], depth: int = 0
) -> str:
    """What is selected of a type: its fields, and those of its members."""
    parts = []
    fields = {} if isinstance(kind, GraphQLUnionType) else kind.fields
    names = draw(st.lists(st.sampled_from([*fields, "__typename"]), min_size=1, max_size=3))
    for number, name in enumerate(names):
        key = f"k{number}: " if draw(st.integers(0, 3)) == 0 else ""
        if name == "__typename":
            parts.append(f"{key}{name}")
        elif (made := draw(selected(schema, name, fields[name], texts, depth))) is not None:
            parts.append(f"{key}{made}")
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        member = draw(st.sampled_from([one.name for one in schema.get_possible_types(kind)]))
        inner = draw(selections(schema, schema.type_map[member], texts, depth))
        parts.append(f"... on {member} {inner}")
    elif draw(st.integers(0, 5)) == 0:
        parts = [f"... on {kind.name} {{ {' '.join(parts or ['__typename'])} }}"]
    return f"{{ {' '.join(parts or ['__typename'])} }}"


@st.composite
def selected(
    draw: st.DrawFn,
    schema: GraphQLSchema,
    name: str,
    field: Any,
    texts: st.SearchStrategy[str],
    depth: int,
) -> str | None:
    """A field with arguments and what is selected of it; None where that is too deep."""
    given = [
        f"{key}: {draw(values(one.type, texts))}"
        for key, one in field.args.items()
        if is_required_argument(one) or draw(st.integers(0, 3)) == 0
    ]
    arguments = f"({', '.join(given)})" if given else ""
    kind = field.type
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = kind.of_type
    if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType):
        return f"{name}{arguments}"
    if depth >= DEPTH:
        return None
    return f"{name}{arguments} {draw(selections(schema, kind, texts, depth + 1))}"


@st.composite
def documents(draw: st.DrawFn, schema: GraphQLSchema, texts: st.SearchStrategy[str] = TEXTS) -> str:
    """A document of one or two roots; one in ten is damaged."""
    roots = schema.query_type
    assert roots is not None
    names = draw(st.lists(st.sampled_from(sorted(roots.fields)), min_size=1, max_size=2))
    parts = [
        f"r{number}: {draw(selected(schema, name, roots.fields[name], texts, 0))}"
        for number, name in enumerate(names)
    ]
    made = f"{{ {' '.join(parts)} }}"
    if draw(st.integers(0, 9)):
        return made
    at = draw(st.integers(0, len(made)))
    return made[:at] + draw(DAMAGE) + made[at + draw(st.integers(0, 3)) :]


DAMAGE = st.text(max_size=3) | st.sampled_from(
    ["{", "}", "(", ")", "...", "@skip(if: true)", "$v", "__schema { types { name } }", "#", '"""']
)
