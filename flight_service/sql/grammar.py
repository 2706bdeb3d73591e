"""The grammar of statements: one SELECT, WITH or UNION, with allowed syntax and functions.

Everything else is refused. The engine never gets a client's text, but SQL that is generated from
the checked tree, with every identifier in quotes.
"""

import logging
import re
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Dialect as DialectName
from flight_service.sql.dialects import reader_of
from flight_service.sql.syntax import OPERATORS, PARTS, SYNTAX, TYPES
from flight_service.tickets import shown

# The client gets the parse error.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

MOST_CHARACTERS = 100_000
PLACEHOLDER = "?"
"""The prefix of column names that represent parameters."""
QUERIES = (exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery)
NAMED = re.compile(r'"?(\w+)"?\s*\(')
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WORDS = re.compile(r"[A-Za-z0-9_ ]*")
NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
COMBINATORS = re.compile(r"(If|Array|Distinct|OrDefault|OrNull|Merge|State|ForEach|Map)+\Z")
"""The suffixes of ClickHouse's aggregate functions."""


def parse(text: str, dialect: DialectName) -> exp.Expr:
    """Parses a statement to a tree, which is not checked yet.

    Raises:
        InvalidRequest: it does not parse, is not exactly one statement, or is too long.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"A statement has at most {MOST_CHARACTERS:,} characters.")
    if "\0" in text:
        raise InvalidRequest("A statement cannot hold the character U+0000.")
    engine = reader_of(dialect)
    try:
        tokens = _numbered(engine.tokenize(text))
        found = [one for one in engine.parser().parse(tokens, text) if one is not None]
    except SqlglotError as error:
        raise InvalidRequest(_syntax_error(error)) from error
    except (RecursionError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        # sqlglot raises other errors for some invalid texts.
        raise InvalidRequest("The statement cannot be parsed, or is nested too deeply.") from error
    found = [one for one in found if not isinstance(one, exp.Semicolon)]
    if len(found) != 1:
        raise InvalidRequest(f"Send one statement. This text holds {len(found)}.")
    return found[0]


def _numbered(tokens: list[Token]) -> list[Token]:
    """The tokens with a name instead of each `?`, because a tree does not keep their order."""
    numbers = count(1)
    return [
        Token(
            TokenType.IDENTIFIER,
            f"{PLACEHOLDER}{next(numbers)}",
            token.line,
            token.col,
            token.start,
            token.end,
            token.comments,
        )
        if token.token_type is TokenType.PLACEHOLDER
        else token
        for token in tokens
    ]


def check(tree: exp.Expr, dialect: DialectName) -> None:
    """Refuses a tree with anything that is not allowed.

    Raises:
        InvalidRequest: the message names it.
    """
    if not isinstance(tree, QUERIES):
        raise InvalidRequest(
            f"{_called(tree)} is refused. A statement here is a SELECT, with WITH or UNION where "
            "you need them: it only reads."
        )
    try:
        for node in tree.walk():
            _check_node(node, dialect)
    except RecursionError as error:
        raise InvalidRequest("The statement is nested too deeply.") from error
    except (SqlglotError, ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest("The statement holds what cannot be written for its engine.") from (
            error
        )


def written(tree: exp.Expr, dialect: DialectName) -> str:
    """The tree as SQL, without comments and with every identifier in quotes. The text is parsed and
    checked again, so that it has nothing that was not in the tree.

    Raises:
        InvalidRequest: it cannot be written so.
    """
    text = _sql(tree, dialect)
    again = parse(text, dialect)
    check(again, dialect)
    if _sql(again, dialect) != text or _tables(again) != _tables(tree):
        raise InvalidRequest("The statement cannot be written for its engine as it was read.")
    return text


def _tables(tree: exp.Expr) -> list[str]:
    return sorted(table.name for table in tree.find_all(exp.Table))


def _sql(tree: exp.Expr, dialect: DialectName) -> str:
    try:
        return tree.sql(
            dialect=dialect,
            identify=True,
            comments=False,
            normalize_functions=False,
            unsupported_level=sqlglot.ErrorLevel.RAISE,
        )
    except (SqlglotError, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise InvalidRequest("The statement holds what cannot be written for its engine.") from (
            error
        )


@cache
def functions(dialect: DialectName) -> frozenset[str]:
    """The allowed functions, in lower case. They read only their arguments."""
    text = files("flight_service.sql.functions").joinpath(f"{dialect}.txt").read_text()
    return frozenset(text.lower().split())


def _check_node(node: exp.Expr, dialect: DialectName) -> None:
    kind = type(node)
    _check_words(node)
    parts = PARTS.get(kind)
    for name, value in node.args.items():
        if parts is not None and name not in parts and value not in (None, False, [], ""):
            raise InvalidRequest(f"{_called(node)} with {name.rstrip('_').upper()} is refused.")
    if isinstance(node, exp.Func):
        _check_function(node, dialect)
    elif kind not in SYNTAX:
        raise InvalidRequest(f"{_called(node)} is refused: {shown(_text(node, dialect))}.")
    match node:
        case exp.Table(this=this) if not isinstance(this, exp.Identifier):
            raise InvalidRequest(
                f"Table functions are refused: {shown(_text(node, dialect))}. Name a relation."
            )
        case exp.Column(this=this) if not isinstance(this, exp.Identifier | exp.Star):
            raise InvalidRequest(f"No column: {shown(_text(node, dialect))}.")
        case exp.DataType(this=name) if name not in TYPES:
            raise InvalidRequest(f"No type to cast to: {shown(_text(node, dialect))}.")
        case exp.In() if dialect == "clickhouse" and _names_a_table(node):
            raise InvalidRequest(
                f"{shown(_text(node, dialect))} could name a table. Write = or a sub-select."
            )
        case exp.Placeholder():
            raise InvalidRequest("Parameters are written as ?, without a name or type.")
        case exp.Subquery(this=this) | exp.CTE(this=this):
            _check_query(this, scalar=bool(node.args.get("scalar")))


def _check_words(node: exp.Expr) -> None:
    """Refuses a text that would be written without quotes and is not a word: for some functions the
    parser unquotes a unit of time."""
    match node:
        case exp.Identifier(this=str(text)):
            # ClickHouse reads a backslash between quotes, also of a name.
            fits = "\\" not in text
        case exp.Literal(is_string=True) | exp.JSONPathKey():
            return
        case exp.Literal(this=str(text)):
            fits = NUMBER.fullmatch(text)
        case exp.Var(this=str(text)):
            fits = WORD.fullmatch(text)
        case _:
            held = [one for one in node.args.values() if isinstance(one, str)]
            text = next((one for one in held if not WORDS.fullmatch(one)), "")
            fits = not text
    if not fits:
        raise InvalidRequest(f"{shown(text)} is refused where a single word or number stands.")


def _check_query(inner: Any, *, scalar: bool) -> None:
    """Checks that the expression in parentheses or after WITH is a query."""
    if not scalar and not isinstance(inner, (*QUERIES, exp.Table)):
        raise InvalidRequest(f"{_called(inner)} is refused where a SELECT stands.")


def _check_function(node: exp.Func, dialect: DialectName) -> None:
    if type(node) in OPERATORS:
        return
    found = function_name(node, dialect)
    name = found or _called(node)
    quoted = isinstance(node, exp.Anonymous) and not isinstance(node.this, str)
    allowed = functions(dialect)
    whole = name.lower() in allowed
    if dialect == "clickhouse" and not whole:
        whole = COMBINATORS.sub("", name).lower() in allowed
    if not found or quoted or not whole:
        raise InvalidRequest(
            f"The function {shown(name)} is refused. Statements may call functions that compute "
            "from their arguments alone."
        )


def function_name(node: exp.Func, dialect: DialectName) -> str | None:
    """The name of a function as the engine gets it; None if it is not written as a call."""
    found = NAMED.match(_text(node, dialect))
    return found[1] if found else None


def _names_a_table(node: exp.In) -> bool:
    inner = node.expressions
    return len(inner) == 1 and isinstance(inner[0].unnest(), exp.Column | exp.Identifier)


def _text(node: exp.Expr, dialect: DialectName) -> str:
    return node.sql(dialect=dialect, comments=False, normalize_functions=False)


def _called(node: object) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()


def _syntax_error(error: SqlglotError) -> str:
    """The position of a parse error, without terminal colours."""
    errors = getattr(error, "errors", None)
    if errors:
        first = errors[0]
        near = f"{first['start_context']}{first['highlight']}"[-40:]
        return (
            f"The statement does not parse at line {first['line']}, column {first['col']}: "
            f"{first['description'].rstrip('.')}. It ends there with {shown(near)}."
        )
    return f"The statement does not parse: {str(error).splitlines()[0].rstrip('.')}."
