"""How statements are read: as sqlglot reads the engine's SQL, but functions as they are written.

sqlglot knows hundreds of functions, so that it can translate them between engines. It renames some,
drops arguments that it does not expect, and takes units of time out of literals. Here nothing is
translated: a call keeps its name and its arguments, apart from syntax of its own such as CAST.
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
    """What reads the statements of an engine."""
    return _READERS[dialect]
