"""Conditions on fields, as the search engine evaluates them."""

from typing import Any

from fraiseql_assets.operational.client import definition


def term(field: str, value: str) -> dict[str, Any]:
    """The events whose field has this value; for a value too long to be indexed, every event of
    which no value is indexed, the ones sought among them.
    """
    if is_indexed(field, value):
        return {"term": {field: value}}
    return {"bool": {"must_not": {"exists": {"field": field}}}}


def is_indexed(field: str, value: str) -> bool:
    """Whether the server finds exactly the rows whose field has this value."""
    return _length(value) <= longest_indexed(field)


def longest_indexed(field: str) -> int:
    """The longest value of a field that is indexed, as the server counts: in UTF-16 code units."""
    return definition("events")["mappings"]["properties"][field]["ignore_above"]


def _length(value: str) -> int:
    return len(value.encode("utf-16-le", "surrogatepass")) // 2
