"""Conditions on fields, as the search engine evaluates them."""

from typing import Any

from fraiseql_assets.operational.client import definition


def term(field: str, value: str) -> dict[str, Any]:
    """Matches events whose field has this value. A value that is too long for the index matches
    every event without an indexed value, which includes the wanted ones.
    """
    if is_indexed(field, value):
        return {"term": {field: value}}
    return {"bool": {"must_not": {"exists": {"field": field}}}}


def is_indexed(field: str, value: str) -> bool:
    """Whether the server can find exactly the rows with this value."""
    return utf16_length(value) <= longest_indexed(field)


def longest_indexed(field: str) -> int:
    """The longest indexed value of a field, in UTF-16 code units as the server counts."""
    return definition("events")["mappings"]["properties"][field]["ignore_above"]


def utf16_length(value: str) -> int:
    """The length of a value as the server counts it."""
    return len(value.encode("utf-16-le", "surrogatepass")) // 2
