"""Resolves the fields of a query, and checks the types of values."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from fraiseql_assets.operational.filters import longest_indexed, utf16_length
from fraiseql_assets.operational.search.schema import FIELDS, FieldType

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(
    r"now([+-]\d+[yMwdhHms])*(/[yMwdhHms])?"
    r"|\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?"
    r"(\|\|([+-]\d+[yMwdhHms])*(/[yMwdhHms])?)?"
)
PATH_EXAMPLE = "data.customer.country"


class QueryMistake(ValueError):
    """A query string is invalid; the message says what, where, and what is valid."""

    def __init__(self, message: str, query: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.query = query
        self.position = position
        """From 0."""

    def __str__(self) -> str:
        return f"{self.message} (at character {self.position + 1} of the query: {self._near()})"

    def pointed(self) -> str:
        """The query with a mark under the error, in two lines."""
        line = self.query.replace("\n", " ").replace("\t", " ")
        return f"{line}\n{' ' * self.position}^"

    def _near(self) -> str:
        text = self.query[self.position : self.position + 20]
        return repr(text) if text else "its end"


def type_of_field(name: str, query: str, position: int) -> FieldType:
    """The type of a field, or of a path below a flattened one.

    Raises:
        QueryMistake: there is no such field.
    """
    root, dot, path = name.partition(".")
    if name in FIELDS:
        return FIELDS[name]
    if dot and path and FIELDS.get(root) == "flattened" and not path.endswith("."):
        if re.search(r"[*?]", path):
            raise QueryMistake(f"A path is written out, as in {PATH_EXAMPLE}:FR.", query, position)
        return "flattened"
    raise QueryMistake(
        f"There is no field {name[:60]}.{_suggestion(name)} Quote a text that holds `:`.",
        query,
        position,
    )


def check_value(field: str, kind: FieldType, text: str, query: str, position: int) -> None:
    """Returns if a field of this type can have the value.

    Raises:
        QueryMistake: it cannot.
    """
    text = text.replace("\\", "")
    if kind in ("long", "double") and not _NUMBER.fullmatch(text):
        raise QueryMistake(f"{field} is a number; {text[:40]!r} is none.", query, position)
    if kind == "date" and not _DATE.fullmatch(text):
        raise QueryMistake(
            f"{field} is a time; write a date such as 2026-01-31, a time such as "
            '"2026-01-31T12:00:00Z" in quotes, or now-1h.',
            query,
            position,
        )


def refuse_number(field: str, text: str, query: str, position: int) -> None:
    """Returns if a path of a flattened field can be compared with the value.

    Raises:
        QueryMistake: it is a number.
    """
    if _NUMBER.fullmatch(text):
        raise QueryMistake(
            f"{field} is indexed as text, in which 9 comes after 10: a range of numbers would find "
            "wrong rows. Ranges of dates are right, as are ranges of numeric fields.",
            query,
            position,
        )


def too_long(field: str, text: str, query: str, position: int) -> QueryMistake | None:
    """The mistake of comparing a path with a value that is too long for the index, where it is
    never found."""
    length = utf16_length(re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL))
    longest = longest_indexed("data")
    if length <= longest:
        return None
    return QueryMistake(
        f"This value has {length:,} characters. {field} is indexed up to {longest:,}, so it "
        "would not be found. Search for some of its words, without the path.",
        query,
        position,
    )


def _suggestion(name: str) -> str:
    near = list(_near(name))
    if near:
        return f" Did you mean {near[0]}?"
    return f" There are {', '.join(FIELDS)}, and paths such as {PATH_EXAMPLE}."


def _near(name: str) -> Iterator[str]:
    yield from get_close_matches(name, FIELDS, n=1, cutoff=0.6)
    yield from (field for field in FIELDS if field.startswith(name))
