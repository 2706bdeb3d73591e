"""Prepared statements, and their bound values."""

import secrets
from dataclasses import dataclass, replace

import pyarrow as pa

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.identity.signing import fingerprint
from flight_service.sql.catalogue import NO_VALUES, Binding, Execution
from flight_service.sql.parameters import bound, example, parameter_schema
from flight_service.sql.planning import Planned
from flight_service.sql.recently_used import RecentlyUsed

MOST_PREPARED = 1000
MOST_ROWS = 10_000
MOST_BYTES = 16 * 2**20
BYTES_PER_VALUE = 64
"""What a bound value takes besides its content."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A planned statement of one principal."""

    planned: Planned
    owner: bytes
    binding: Binding | None = None
    bound_bytes: int = 0
    """About how many bytes the binding takes."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return self.planned.size + self.bound_bytes

    def execution(self, principal: Principal) -> Execution:
        """The statement's execution with its bound values.

        Raises:
            InvalidRequest: it has parameters without bound values.
        """
        parameters = self.planned.statement.parameters
        if parameters and self.binding is None:
            raise InvalidRequest(
                f"The statement has {len(parameters)} parameters. Bind their values first."
            )
        return self.planned.execution(principal, self.binding or NO_VALUES)


class PreparedStatements:
    """The prepared statements of all clients: the last thousand, if they fit. Thread-safe."""

    def __init__(self) -> None:
        self._held: RecentlyUsed[Prepared] = RecentlyUsed(MOST_PREPARED, 16 * MOST_BYTES)

    def add(self, planned: Planned, principal: Principal) -> str:
        """Stores a statement. Returns its handle."""
        handle = secrets.token_hex(16)
        self._put(handle, Prepared(planned, fingerprint(principal)))
        return handle

    def get(self, handle: str, principal: Principal) -> Prepared:
        """The statement of a handle.

        Raises:
            InvalidRequest: it was closed, is too old, or belongs to another principal.
        """
        found = self._held.get(handle)
        if found is None or found.owner != fingerprint(principal):
            raise InvalidRequest("There is no such prepared statement. Prepare it again.")
        return found

    def bind(self, handle: str, principal: Principal, values: pa.Table) -> None:
        """Binds rows of values, which replace earlier ones.

        Raises:
            InvalidRequest: there are too many, or they do not match the parameters.
        """
        found = self.get(handle, principal)
        if values.num_rows > MOST_ROWS or values.nbytes > MOST_BYTES:
            raise InvalidRequest(
                f"At most {MOST_ROWS:,} rows of values, and {MOST_BYTES:,} bytes, can be bound."
            )
        binding = bound(found.planned.statement.parameters, values)
        size = values.nbytes + BYTES_PER_VALUE * values.num_rows * values.num_columns
        self._put(handle, replace(found, binding=binding, bound_bytes=size))

    def _put(self, handle: str, prepared: Prepared) -> None:
        self._held.put(handle, prepared, size=prepared.size, owner=prepared.owner)

    def close(self, handle: str, principal: Principal) -> None:
        """Removes a statement."""
        self.get(handle, principal)
        self._held.take(handle)


def described(planned: Planned, principal: Principal) -> tuple[pa.Schema | None, pa.Schema]:
    """The schema of a statement's result, as far as it is known without values, and of its
    parameters."""
    parameters = planned.statement.parameters
    told = parameter_schema(parameters)
    try:
        binding = example(parameters) if parameters else NO_VALUES
        return planned.execution(principal, binding).schema, told
    except InvalidRequest:
        if not parameters:
            raise
        return None, told
