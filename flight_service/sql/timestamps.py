"""Texts of times in statements for ClickHouse, in the form that it always reads.

ClickHouse reads a text such as `2026-01-31T12:00:00Z` when it compares values, but refuses it when
it searches the index of a table for them. Clients write this form (ISO 8601, RFC 3339): Grafana's
Flight SQL plugin, for example, for the time range of a dashboard.
"""

import re
from collections.abc import Iterable

import pyarrow as pa
from sqlglot import exp

from flight_service.sql.literals import timestamp_of
from flight_service.sql.parameters import COMPARISONS

FINER = re.compile(r"[.,][0-9]{7}")
"""More digits of a second than a datetime can hold."""
WITH_T_OR_OFFSET = re.compile(r"T|Z$|.{10}.*[+-]")
"""A sign within the first ten characters is one of the date."""


def rewrite_timestamps(tree: exp.Expr, columns: Iterable[pa.Field]) -> None:
    """Rewrites texts that are compared with a column of timestamps: `2026-01-31T13:00:00+01:00`
    becomes `2026-01-31 12:00:00`. Others stay as they are."""
    names = {one.name for one in columns if pa.types.is_timestamp(one.type)}
    for node in tree.find_all(*COMPARISONS):
        parts = [one.unnest() for one in node.iter_expressions()]
        if any(isinstance(one, exp.Column) and one.name in names for one in parts):
            for one in parts:
                if isinstance(one, exp.Literal) and one.is_string:
                    one.set("this", _plain(one.this))


def _plain(text: str) -> str:
    """The time in UTC as ClickHouse writes it; a text that is no time with `T` or an offset, as it
    is."""
    moment = timestamp_of(text)
    if moment is None or FINER.search(text) or not WITH_T_OR_OFFSET.search(text):
        return text
    return moment.replace(tzinfo=None).isoformat(" ")
