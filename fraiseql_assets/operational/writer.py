"""Writing blocks into an index, exactly once however often a block is written.

An event's document has the event's id and is only ever created, never overwritten. A document that
is there already is the block's own, from an earlier attempt, when it comes from the same place of
the log, and a duplicate when it comes from another.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from fraiseql_assets.events.encode import observer_messages
from fraiseql_assets.events.messages import Reject
from fraiseql_assets.operational.bodies import Body, bodies, document_ids
from fraiseql_assets.operational.client import one_line, translated
from fraiseql_assets.planes import Block, PlaneError, PlaneUnavailable, Written
from fraiseql_assets.settings import Settings

TRIES = 6
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0

PAGE = 10_000
"""Events that are looked up together."""
PLACE = ("stream_seq", "stream_row")

_NDJSON = {"Content-Type": "application/x-ndjson", "Accept": "application/json"}
_ANSWER = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"
_TRY_AGAIN = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_REFUSED = (
    "document_parsing_exception",
    "illegal_argument_exception",
    "mapper_parsing_exception",
    "strict_dynamic_mapping_exception",
    "x_content_parse_exception",
)


@dataclass(slots=True)
class _Outcome:
    """What became of a body's events, by their places in the table."""

    rows: int = 0
    there: list[int] = field(default_factory=list)
    """A document of their id was there before."""
    refused: dict[int, str] = field(default_factory=dict)
    """The server will never take them, and why."""


class Writer:
    """Writes blocks into one index of a day.

    `target` names the index or the alias to write to, and makes it when it is missing; it is asked
    again whenever the server does not know the name.
    """

    def __init__(
        self,
        client: Elasticsearch,
        settings: Settings,
        target: Callable[[], str],
        *,
        through_alias: bool,
    ) -> None:
        self._client, self._settings, self._target = client, settings, target
        self._index = ""
        # The server would create a missing index by itself, without its aliases.
        self._require_alias = {"require_alias": "true"} if through_alias else {}

    def write(self, block: Block) -> Written:
        """Writes a block.

        Raises:
            PlaneUnavailable: the server did not take it for long; nothing is lost, write it again.
        """
        events = block.table
        with translated(self._settings):
            self._index = self._target()
        outcome = _Outcome()
        self._send_all(events, outcome, with_objects=True)
        if outcome.refused:
            # What a server refuses of an event is one of its objects; the text it never does.
            places = sorted(outcome.refused)
            outcome.refused.clear()
            again = _Outcome()
            self._send_all(events.take(places), again, with_objects=False)
            outcome.rows += again.rows
            outcome.there += [places[place] for place in again.there]
            outcome.refused = {places[p]: reason for p, reason in again.refused.items()}
        own = self._own(events, outcome.there)
        return Written(
            rows=outcome.rows + own,
            duplicates=len(outcome.there) - own,
            refused=[
                _reject(events.slice(place, 1), reason, self._settings.subject_prefix)
                for place, reason in sorted(outcome.refused.items())
            ],
        )

    def _send_all(self, events: pa.Table, outcome: _Outcome, *, with_objects: bool) -> None:
        most = self._settings.bulk_bytes
        for body in bodies(events, self._index, most, with_objects=with_objects):
            self._send(body, outcome)

    def _send(self, body: Body, outcome: _Outcome) -> None:
        """Sends a body until every event of it has an answer that lasts."""
        pending = list(range(len(body)))
        for attempt in Retrying(
            retry=retry_if_exception_type(PlaneUnavailable),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS),
            reraise=True,
        ):
            with attempt:
                part = body if len(pending) == len(body) else body.take(pending)
                pending, why = self._send_once(part, body.first, pending, outcome)
                if pending:
                    raise PlaneUnavailable(
                        f"Elasticsearch does not take {len(pending)} of {len(body)} events now: "
                        f"{why}"
                    )

    def _send_once(
        self, part: Body, first: int, places: list[int], outcome: _Outcome
    ) -> tuple[list[int], str]:
        """Sends events once. Returns those to send again, and why."""
        with translated(self._settings):
            answer = self._client.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": _ANSWER, **self._require_alias},
                headers=_NDJSON,
                body=part.payload(),
            ).body
        if not answer["errors"]:
            outcome.rows += len(places)
            return [], ""
        again: list[int] = []
        why = ""
        for place, item in zip(places, answer["items"], strict=True):
            [result] = item.values()
            status = result["status"]
            if status == HTTPStatus.CREATED:
                outcome.rows += 1
            elif status == HTTPStatus.CONFLICT:
                outcome.there.append(first + place)
            elif status in _TRY_AGAIN:
                again.append(place)
                why = _reason(result)
                if status == HTTPStatus.NOT_FOUND:
                    # The index is gone; it is looked for, or made, anew.
                    self._index = self._target()
            elif (result.get("error") or {}).get("type") in _REFUSED:
                outcome.refused[first + place] = _reason(result)
            else:
                raise PlaneError(f"Elasticsearch refuses to write an event: {_reason(result)}")
        return again, why

    def _own(self, events: pa.Table, places: list[int]) -> int:
        """How many events at these places the index holds from their own place of the log."""
        own = 0
        for start in range(0, len(places), PAGE):
            asked = events.take(places[start : start + PAGE]).combine_chunks()
            ids = document_ids(asked["event_id"].combine_chunks()).to_pylist()
            with translated(self._settings):
                found = self._client.mget(
                    index=self._index,
                    ids=ids,
                    source_includes=PLACE,
                    filter_path="docs._source",
                )["docs"]
            if len(found) < len(ids):
                raise PlaneUnavailable(
                    "Elasticsearch has lost events that it held a moment ago. Write them again."
                )
            rows = zip(*(asked[name].to_pylist() for name in PLACE), strict=True)
            own += sum(
                tuple(held["_source"][name] for name in PLACE) == row
                for held, row in zip(found, rows, strict=True)
            )
        return own


def _reason(result: dict[str, Any]) -> str:
    """Why the server did not take an event, in one line."""
    error = result.get("error") or {}
    cause = (error.get("caused_by") or {}).get("reason")
    said = f"{error.get('type')}: {error.get('reason')}"
    return one_line(f"{said} ({cause})" if cause else said)


def _reject(event: pa.Table, reason: str, prefix: str) -> Reject:
    """A refused event as a dead letter: again as it could be published."""
    [row] = event.select(("stream_seq", "stream_row")).to_pylist()
    [batch] = event.combine_chunks().to_batches()
    [message] = observer_messages(batch, prefix)
    return Reject(
        sequence=row["stream_seq"],
        time=event["stream_time"].cast(pa.int64())[0].as_py() * 1000,
        subject=message.subject,
        headers=None,
        payload=message.payload,
        reason=f"Elasticsearch refuses the event: {reason}",
        row=row["stream_row"],
    )
