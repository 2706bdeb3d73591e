"""The actions `MaterializeAsset`, `BackfillAsset` and `RunStatus`."""

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import msgspec

from flight_service.access import MATERIALIZE, check_scope
from flight_service.actions import Action, StreamingAction
from flight_service.authentication import Principal
from flight_service.errors import InvalidRequest
from flight_service.runs.dagster import Dagster
from flight_service.runs.launch import find_target, launch_backfill, launch_run
from flight_service.runs.status import backfill_state, followed, run_state
from flight_service.tickets import explained
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.settings import Settings


class Materialize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `MaterializeAsset`."""

    asset: str
    partition: str


class Backfill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `BackfillAsset`."""

    asset: str
    start: str
    end: str


class RunStatusBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `RunStatus`."""

    run_id: str | None = None
    backfill_id: str | None = None
    follow: bool = False


Body = TypeVar("Body", bound=msgspec.Struct)


def run_actions(settings: Settings) -> tuple[Action, Action, StreamingAction]:
    """The actions, for the Dagster of the settings. Sends no request yet."""
    actions = _RunActions(settings)
    return (
        Action(
            "MaterializeAsset",
            "Starts a run that rebuilds a partition of an asset: run_id.",
            actions.materialize,
        ),
        Action(
            "BackfillAsset",
            "Starts a backfill of an asset's partitions from start to end: backfill_id.",
            actions.backfill,
        ),
        StreamingAction(
            "RunStatus",
            "The state of a run or backfill; with follow, each of its states until it ends.",
            actions.status,
        ),
    )


class _RunActions:
    def __init__(self, settings: Settings) -> None:
        self._dagster = Dagster(settings)
        self._is_guarded = settings.is_guarded

    def materialize(self, body: bytes, principal: Principal) -> dict[str, Any]:
        self._check(principal)
        asked = _decoded(body, Materialize)
        target = find_target(self._dagster, asked.asset)
        id = launch_run(self._dagster, target, asked.partition, principal)
        return {"run_id": id, "asset": asked.asset, "partition": asked.partition}

    def backfill(self, body: bytes, principal: Principal) -> dict[str, Any]:
        self._check(principal)
        asked = _decoded(body, Backfill)
        target = find_target(self._dagster, asked.asset)
        id, partitions = launch_backfill(self._dagster, target, asked.start, asked.end, principal)
        return {"backfill_id": id, "asset": asked.asset, "partitions": partitions}

    def status(
        self, body: bytes, principal: Principal, cancellation: Cancellation
    ) -> Iterator[dict[str, Any]]:
        self._check(principal)
        asked = _decoded(body, RunStatusBody)
        if (asked.run_id is None) == (asked.backfill_id is None):
            raise InvalidRequest("Name a run with run_id, or a backfill with backfill_id.")
        if asked.run_id is not None:
            ask = partial(run_state, self._dagster, asked.run_id)
        else:
            ask = partial(backfill_state, self._dagster, asked.backfill_id or "")
        return followed(ask, cancellation) if asked.follow else iter([ask()])

    def _check(self, principal: Principal) -> None:
        check_scope(principal, MATERIALIZE, "Starting runs", is_guarded=self._is_guarded)


def _decoded(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        told = explained(error, kind).removeprefix("The ticket")
        raise InvalidRequest(f"The action's body{told}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        fields = ", ".join(kind.__struct_fields__)
        raise InvalidRequest(
            f"The action's body is no JSON that can be read: {error}. It may have: {fields}."
        ) from error
