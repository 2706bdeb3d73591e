"""Which requests a principal may send, and whose rows it reads, for every transport.

Without token checks every request is allowed, and no principal has a tenant.
"""

from flight_service.authentication import Principal
from flight_service.errors import Forbidden

SQL = "sql"
"""The scope for Flight SQL and for tickets that contain SQL."""
WRITE = "write"
"""The scope for DoPut and uploads."""
MATERIALIZE = "materialize"
"""The scope for actions that start Dagster's runs."""
ALL_TENANTS = "all_tenants"
"""The scope of principals that have a tenant and may read the rows of all tenants."""


def check_scope(principal: Principal, scope: str, what: str, *, is_guarded: bool) -> None:
    """Refuses a principal without the scope. `what` is the subject of the message.

    Raises:
        Forbidden: naming the scope.
    """
    if is_guarded and scope not in principal.scopes:
        raise Forbidden(f"{what} needs a token with the scope {scope!r}.")


def tenant_of(principal: Principal) -> str | None:
    """The tenant to which the principal's reads are limited; None if it may read all rows."""
    return None if ALL_TENANTS in principal.scopes else principal.tenant
