"""Flight actions. The registry lists them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pyarrow import flight

from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest, as_flight_error
from flight_service.health import health
from flight_service.monitoring.calls import Call
from flight_service.tickets import MAX_BYTES, shown
from fraiseql_assets.cancellation import Cancellation


@dataclass(frozen=True, slots=True)
class Action:
    """An action. Its result is one JSON object."""

    name: str
    description: str
    run: Callable[[bytes, Principal], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StreamingAction:
    """An action. Its results are JSON objects, streamed until the call is cancelled."""

    name: str
    description: str
    run: Callable[[bytes, Principal, Cancellation], Iterator[dict[str, Any]]]


AnyAction = Action | StreamingAction

HEALTH_CHECK = Action(
    "HealthCheck",
    "Whether the service answers: status, version, timestamp.",
    lambda body, principal: health(),
)


def listed(actions: Sequence[AnyAction]) -> list[flight.ActionType]:
    """The response of ListActions."""
    return [flight.ActionType(action.name, action.description) for action in actions]


def run(
    actions: Sequence[AnyAction],
    asked: flight.Action,
    principal: Principal,
    call: Call,
    watch: Callable[[], Cancellation],
) -> Iterator[flight.Result]:
    """Runs an action. `watch` gives the call's cancellation.

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
    body = asked.body.to_pybytes()
    if isinstance(found, StreamingAction):
        return _results(found.run(body, principal, watch()))
    return iter([_result(found.run(body, principal))])


def _results(answers: Iterator[dict[str, Any]]) -> Iterator[flight.Result]:
    try:
        for answer in answers:
            yield _result(answer)
    except Exception as error:
        raise as_flight_error(error) from None


def _result(answer: dict[str, Any]) -> flight.Result:
    return flight.Result(msgspec.json.encode(answer))
