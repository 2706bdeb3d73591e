"""Who may send SQL, and whose rows it reads."""

from flight_service.authentication import Principal
from flight_service.errors import Forbidden

SQL = "sql"
"""The scope that Flight SQL takes, where tokens are checked."""
ALL_TENANTS = "all_tenants"
"""The scope of principals that have a tenant and may read the rows of all."""


def check_scope(principal: Principal, *, is_guarded: bool) -> None:
    """Refuses who may not send SQL.

    Raises:
        Forbidden: naming the scope.
    """
    if is_guarded and SQL not in principal.scopes:
        raise Forbidden(f"Flight SQL needs a token with the scope {SQL!r}.")


def tenant_of(principal: Principal) -> str | None:
    """The tenant whose rows alone the principal may read; None of one who may read all."""
    return None if ALL_TENANTS in principal.scopes else principal.tenant
