"""Dialects for parsing statements: those of sqlglot, with function calls left unchanged.

sqlglot translates hundreds of functions between engines. It renames some, drops unexpected
arguments, and unquotes units of time. Here nothing is translated: a call keeps its name and
arguments, except for special syntax such as CAST.
"""

from typing import ClassVar

from sqlglot.dialects import ClickHouse, Postgres
from sqlglot.dialects.dialect import Dialect

from flight_service.sql.catalogue import Dialect as DialectName

WITH_SYNTAX = ("AND", "CAST", "EXTRACT", "OR", "OVERLAY", "POSITION", "SUBSTRING", "TRIM", "XOR")
"""The functions whose arguments are not only separated by commas."""


class _ClickHouse(ClickHouse):
    class Parser(ClickHouse.Parser):
        FUNCTIONS: ClassVar = {}
        FUNCTION_PARSERS: ClassVar = {
            name: parse
            for name, parse in ClickHouse.Parser.FUNCTION_PARSERS.items()
            if name in WITH_SYNTAX
        }


class _Postgres(Postgres):
    class Parser(Postgres.Parser):
        FUNCTIONS: ClassVar = {}
        FUNCTION_PARSERS: ClassVar = {
            name: parse
            for name, parse in Postgres.Parser.FUNCTION_PARSERS.items()
            if name in WITH_SYNTAX
        }


_READERS: dict[DialectName, Dialect] = {"clickhouse": _ClickHouse(), "postgres": _Postgres()}


def reader_of(dialect: DialectName) -> Dialect:
    """The dialect of an engine."""
    return _READERS[dialect]
