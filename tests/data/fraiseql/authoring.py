"""A bookshop in FraiseQL's authoring language; `record.py` compiles it."""

import sys
from enum import Enum
from typing import Annotated

import fraiseql
from fraiseql.scalars import ID, UUID, Date, DateTime, Decimal, Json, Time

EVERYTHING = {"where": True, "order_by": True, "limit": True, "offset": True}


@fraiseql.enum
class BookState(Enum):
    """Stored as its value, in lower case."""

    IN_PRINT = "in_print"
    SOLD_OUT = "sold_out"


@fraiseql.enum
class Grade(Enum):
    """Stored as its name."""

    GOOD = "GOOD"
    POOR = "POOR"


@fraiseql.interface
class Named:
    """Whoever has a name."""

    id: ID
    full_name: str


@fraiseql.type(embedded=True)
class Address:
    """Where somebody lives."""

    street1: str
    zip_code: str | None
    country: str


@fraiseql.type(sql_source="v_author", implements=["Named"])
class Author:
    """Who writes."""

    id: ID
    full_name: str
    home_address: Address | None
    email: Annotated[str | None, fraiseql.field(requires_scope="read:Author.email", on_deny="mask")]
    advance: Annotated[Decimal | None, fraiseql.field(requires_scope="read:Author.advance")]


@fraiseql.type(sql_source="v_publisher", implements=["Named"])
class Publisher:
    """Who prints."""

    id: ID
    full_name: str
    founded_in: int | None


@fraiseql.type(embedded=True)
class Edition:
    """One printing of a book."""

    edition_no: int
    unit_price: Decimal
    printed_on: Date | None


@fraiseql.type(sql_source="v_book")
class Book:
    """What is sold."""

    id: ID
    isbn13: str
    title: str
    is_available: bool
    state: BookState | None
    grade: Grade | None
    pages_count: int | None
    copies_sold: int | None
    list_price: Decimal | None
    weight: float | None
    published_on: Date | None
    shelf_time: Time | None
    created_at: DateTime
    batch_ref: UUID | None
    s3_key: str | None
    tags: list[str]
    extra_data: Json | None
    author: Author | None
    editions: list[Edition]


@fraiseql.union(members=[Author, Publisher])
class Party:
    """Who can sign a contract."""


@fraiseql.query(sql_source="v_book", auto_params=EVERYTHING)
def books(title: str | None = None) -> list[Book]:
    """All books."""


@fraiseql.query(sql_source="v_book")
def book(id: ID) -> Book | None:
    """One book."""


@fraiseql.query(sql_source="v_author", auto_params=EVERYTHING)
def authors() -> list[Author]:
    """All authors."""


@fraiseql.query(sql_source="v_book", relay=True, auto_params={"where": True, "order_by": True})
def book_connection() -> list[Book]:
    """All books, by pages."""


@fraiseql.query(sql_source="v_own_book", inject={"owner": "jwt:sub"}, auto_params=EVERYTHING)
def own_books() -> list[Book]:
    """The caller's books."""


@fraiseql.query(sql_source="v_shelf", auto_params=EVERYTHING)
def shelf() -> list[Book]:
    """The books that a session variable selects."""


if __name__ == "__main__":
    fraiseql.export_schema(sys.argv[1])
