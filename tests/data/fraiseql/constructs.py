"""Constructs that `authoring.py` does not use; compiled to `constructs.compiled.json`."""

import sys
from enum import Enum
from typing import Annotated, NewType

import fraiseql
from fraiseql import VectorConfig
from fraiseql.scalars import ID, URL, Email, Vector

Iban = NewType("Iban", str)


@fraiseql.enum
class Level(Enum):
    LOW = 1
    HIGH = 2


@fraiseql.interface
class Node:
    id: ID


@fraiseql.type(sql_source="v_doc", implements=["Node"], crud=True)
class Doc:
    """A doc."""

    id: ID
    title: str
    old_title: Annotated[str | None, fraiseql.field(deprecated="Use title")]
    level: Level
    levels: list[Level]
    matrix: list[list[float | None]]
    iban: Iban | None
    email: Email | None
    url: URL | None
    slug: Annotated[str, fraiseql.field(computed=True)]
    embedding: Annotated[Vector, fraiseql.field(vector_config=VectorConfig(dimensions=3))]


@fraiseql.input
class DocFilter:
    title: str | None
    levels: list[Level] | None = None
    min_size: int = 3


@fraiseql.type(sql_source="v_ws", relay=True)
class Ws:
    id: ID
    name: str


@fraiseql.error
class DocError:
    message: str
    code: int


@fraiseql.query(sql_source="v_doc", auto_params=True, cache_ttl_seconds=30, requires_role="admin")
def old_docs() -> list[Doc]: ...


@fraiseql.query(
    sql_source="v_doc", auto_params=True, requires_actor=["human_user"], additional_views=["v_ws"]
)
def actor_docs(
    filter: DocFilter | None = None, level: Level = "LOW", size: int = 10
) -> list[Doc]: ...


@fraiseql.query(sql_source="v_ws", relay=True)
def wss() -> list[Ws]: ...


@fraiseql.mutation(sql_source="fn_make", operation="CREATE")
def make_doc(title: str, input: DocFilter) -> Doc: ...


@fraiseql.subscription(entity_type="Doc", topic="doc_created")
def doc_created(user_id: str | None = None) -> Doc: ...


fraiseql.export_schema(sys.argv[1])
