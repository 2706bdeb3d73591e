"""Flight actions. The registry lists them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.health import health
from flight_service.monitoring.calls import Call
from flight_service.tickets import MAX_BYTES, shown


@dataclass(frozen=True, slots=True)
class Action:
    """An action. Its result is one JSON object."""

    name: str
    description: str
    run: Callable[[bytes, Principal], dict[str, Any]]


HEALTH_CHECK = Action(
    "HealthCheck",
    "Whether the service answers: status, version, timestamp.",
    lambda body, principal: health(),
)


def listed(actions: Sequence[Action]) -> list[flight.ActionType]:
    """The answer of ListActions."""
    return [flight.ActionType(action.name, action.description) for action in actions]


def run(
    actions: Sequence[Action], asked: flight.Action, principal: Principal, call: Call
) -> list[flight.Result]:
    """Runs an action.

    Raises:
        InvalidRequest: there is no such action, or its body is too large.
    """
    found = next((action for action in actions if action.name == asked.type), None)
    if found is None:
        names = ", ".join(action.name for action in actions)
        raise InvalidRequest(f"There is no action {shown(asked.type)}. There are: {names}.")
    call.kind = found.name
    if asked.body.size > MAX_BYTES:
        raise InvalidRequest(
            f"The action's body has at most {MAX_BYTES:,} bytes, this one {asked.body.size:,}."
        )
    answer = found.run(asked.body.to_pybytes(), principal)
    return [flight.Result(msgspec.json.encode(answer))]
