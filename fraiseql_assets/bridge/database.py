"""Statements of the bridge, and PostgreSQL's errors as errors of the bridge."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from string import Template

import asyncpg

from fraiseql_assets.bridge.errors import BridgeError, DatabaseUnavailable
from fraiseql_assets.one_line import one_line

UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    # Also: it starts, ends, or has no connection left.
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


@cache
def sql(name: str, **names: object) -> str:
    """The statement in `sql/<name>.sql`, with `${…}` filled in."""
    text = files("fraiseql_assets.bridge").joinpath("sql", f"{name}.sql").read_text()
    # What is left are the parameters, such as $1.
    return Template(text).safe_substitute(names)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns errors of the driver into errors of the bridge.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer.
        BridgeError: PostgreSQL refuses.
    """
    try:
        yield
    except UNAVAILABLE as error:
        text = one_line(error) or type(error).__name__
        raise DatabaseUnavailable(
            f"PostgreSQL at {where} does not answer ({text}). "
            "Check that it runs and that FRAISEQL_DATABASE_URL names it."
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise BridgeError(
            f"PostgreSQL at {where} refuses: {error}. The bridge needs USAGE on the schema of "
            "the change log and SELECT on the table."
        ) from error
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise BridgeError(
            f"PostgreSQL at {where} refuses the credentials: {error}. "
            "Check the user and password in FRAISEQL_DATABASE_URL."
        ) from error
    except asyncpg.PostgresError as error:
        raise BridgeError(f"PostgreSQL at {where} refuses: {error}") from error
