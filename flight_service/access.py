"""What a principal may ask for, and whose rows it reads: the same for every transport.

Without token checks everyone may ask for everything, and nobody has a tenant.
"""

from flight_service.authentication import Principal
from flight_service.errors import Forbidden

SQL = "sql"
"""The scope for Flight SQL and for tickets with SQL in them."""
WRITE = "write"
"""The scope for DoPut and uploads."""
MATERIALIZE = "materialize"
"""The scope for actions that start Dagster's runs."""
ALL_TENANTS = "all_tenants"
"""The scope of principals that have a tenant and may read the rows of all."""


def check_scope(principal: Principal, scope: str, what: str, *, is_guarded: bool) -> None:
    """Refuses a principal without the scope. `what` is the subject of the message.

    Raises:
        Forbidden: naming the scope.
    """
    if is_guarded and scope not in principal.scopes:
        raise Forbidden(f"{what} needs a token with the scope {scope!r}.")


def tenant_of(principal: Principal) -> str | None:
    """The tenant whose rows alone the principal may read; None of one who may read all."""
    return None if ALL_TENANTS in principal.scopes else principal.tenant
