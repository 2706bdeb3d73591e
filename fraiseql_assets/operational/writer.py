"""Writes blocks into an index exactly once, however often a block is written.

A document has the id of its row and is created, never overwritten. If a document of that id exists
at the same log position, an earlier attempt has written it. At another position, the row is a
duplicate.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import pyarrow as pa
from elasticsearch import ApiError, Elasticsearch
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.events.messages import Reject
from fraiseql_assets.one_line import one_line
from fraiseql_assets.operational.availability import (
    STARTING_SECONDS,
    DayUnavailable,
    closed_day,
)
from fraiseql_assets.operational.bodies import Body, bodies, document_ids
from fraiseql_assets.operational.bulk_responses import (
    ANSWER,
    CLOSED,
    INDEX_GONE,
    NDJSON,
    REFUSED,
    TRY_AGAIN,
    reason_of,
)
from fraiseql_assets.operational.client import translated
from fraiseql_assets.operational.documents import documents_of
from fraiseql_assets.planes import Block, PlaneError, PlaneUnavailable, Written
from fraiseql_assets.settings import Settings

TRIES = 6
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
GROWTH = 32
"""After a request was too large, each accepted request lets the next one grow by this fraction."""

SENDERS = 3
"""The number of concurrent requests. The server indexes each of them in one thread: two keep two
cores busy, and the third is ready when one of them ends."""

PAGE = 10_000
"""How many events are looked up in one request."""
LOG_POSITION = ("stream_seq", "stream_row")


class _NoRoom(PlaneUnavailable):
    """The server refuses a whole request: it is overloaded, or the request is above its limit."""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, PlaneUnavailable) and not isinstance(error, DayUnavailable)


@dataclass(slots=True)
class _Outcome:
    """The results of a body's documents, by row number in the table."""

    rows: int = 0
    there: list[int] = field(default_factory=list)
    """Documents whose id already existed."""
    refused: dict[int, str] = field(default_factory=dict)
    """Documents that the server rejects permanently, with the reason."""

    def add(self, other: "_Outcome") -> None:
        self.rows += other.rows
        self.there += other.there
        self.refused |= other.refused


class Writer:
    """Writes blocks into one index of a day. `target` returns the index or alias to write to, and
    creates it if it is missing. It is called again if the server does not know the name.
    """

    def __init__(
        self,
        client: Elasticsearch,
        settings: Settings,
        dataset: Dataset,
        target: Callable[[], str],
        *,
        through_alias: bool,
    ) -> None:
        self._client, self._settings, self._target = client, settings, target
        self._dataset, self._build = dataset, documents_of(dataset).build
        self._index = ""
        self._largest = settings.bulk_bytes
        """The current size limit of a request in bytes."""
        # The server would create a missing index by itself, without its aliases.
        self._require_alias = {"require_alias": "true"} if through_alias else {}

    def write(self, block: Block) -> Written:
        """Writes a block.

        Raises:
            PlaneUnavailable: the server did not take it for long; nothing is lost, write it again.
        """
        table = block.table
        with translated(self._settings):
            self._index = self._target()
        outcome = _Outcome()
        self._send_all(table, outcome, with_objects=True)
        if outcome.refused:
            # A server refuses a row only because of its objects, never because of its text.
            rows = sorted(outcome.refused)
            outcome.refused.clear()
            again = _Outcome()
            self._send_all(table.take(rows), again, with_objects=False)
            outcome.rows += again.rows
            outcome.there += [rows[row] for row in again.there]
            outcome.refused = {rows[row]: reason for row, reason in again.refused.items()}
        own = self._own(table, outcome.there)
        return Written(
            rows=outcome.rows + own,
            duplicates=len(outcome.there) - own,
            refused=[
                self._reject(table.slice(row, 1), reason)
                for row, reason in sorted(outcome.refused.items())
            ],
        )

    def _send_all(self, table: pa.Table, outcome: _Outcome, *, with_objects: bool) -> None:
        most = self._settings.bulk_bytes
        ids = table[self._dataset.id_column]
        # The first row of an id is kept, so rows with equal ids are sent in order.
        senders = SENDERS if len(ids.unique()) == len(ids) else 1
        sent: deque[Future[_Outcome]] = deque()
        with ThreadPoolExecutor(senders) as pool:
            for body in bodies(table, self._index, most, self._build, with_objects=with_objects):
                if len(sent) == senders:
                    outcome.add(sent.popleft().result())
                sent.append(pool.submit(self._send, body))
            for each in sent:
                outcome.add(each.result())

    def _send(self, body: Body) -> _Outcome:
        """Sends a body until every document has a final result."""
        outcome = _Outcome()
        parts = deque([list(range(len(body)))])
        for attempt in Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS),
            reraise=True,
        ):
            with attempt:
                while parts:
                    self._send_part(body, parts, outcome)
        return outcome

    def _send_part(self, body: Body, parts: deque[list[int]], outcome: _Outcome) -> None:
        """Sends the first part, or splits it in two. Documents that were not accepted stay in the
        list."""
        rows = parts.popleft()
        part = body if len(rows) == len(body) else body.take(rows)
        if part.bytes > self._largest and len(rows) > 1:
            middle = len(rows) // 2
            parts.extendleft((rows[middle:], rows[:middle]))
            return
        try:
            rows, why = self._send_once(part, body.first, rows, outcome)
        except PlaneUnavailable as error:
            parts.appendleft(rows)
            if isinstance(error, _NoRoom):
                self._largest = part.bytes // 2
            raise
        if rows:
            parts.appendleft(rows)
            raise PlaneUnavailable(
                f"Elasticsearch does not take {len(rows)} of {len(body)} {self._dataset.name} "
                f"now: {why}"
            )
        most = self._settings.bulk_bytes
        self._largest = min(most, self._largest + most // GROWTH)

    def _send_once(
        self, part: Body, first: int, rows: list[int], outcome: _Outcome
    ) -> tuple[list[int], str]:
        """Sends documents once. Returns those to send again, and why.

        Raises:
            _NoRoom: the server refuses the request as a whole.
            DayUnavailable: the day's index cannot be written to.
        """
        answer = self._answer_to(part)
        if not answer["errors"]:
            outcome.rows += len(rows)
            return [], ""
        again: list[int] = []
        why = ""
        for row, item in zip(rows, answer["items"], strict=True):
            [result] = item.values()
            status, kind = result["status"], (result.get("error") or {}).get("type")
            if status == HTTPStatus.CREATED:
                outcome.rows += 1
            elif status == HTTPStatus.CONFLICT:
                outcome.there.append(first + row)
            elif status in TRY_AGAIN:
                again.append(row)
                why = reason_of(result)
            elif kind in REFUSED:
                outcome.refused[first + row] = reason_of(result)
            elif kind == CLOSED:
                raise DayUnavailable(closed_day(self._index))
            else:
                raise PlaneError(f"Elasticsearch refuses to write a document: {reason_of(result)}")
        if any(kind in why for kind in INDEX_GONE):
            # It is looked for, or made, anew; one that is there and not started is said to be so.
            with translated(self._settings):
                self._index = self._target()
        return again, why

    def _answer_to(self, part: Body) -> dict[str, Any]:
        with translated(self._settings):
            try:
                return self._client.perform_request(
                    "POST",
                    "/_bulk",
                    params={
                        "filter_path": ANSWER,
                        "timeout": f"{STARTING_SECONDS}s",
                        **self._require_alias,
                    },
                    headers=NDJSON,
                    body=part.payload(),
                ).body
            except ApiError as error:
                if error.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
                raise _NoRoom(
                    f"Elasticsearch has no room for a request of {part.bytes:,} bytes now. Where "
                    "that lasts, lower FRAISEQL_BULK_BYTES, or give the server more memory: it "
                    f"takes a tenth of its heap at once. ({one_line(error)[:300]})"
                ) from error

    def _own(self, table: pa.Table, rows: list[int]) -> int:
        """How many of these rows the index holds at their own log position."""
        own = 0
        for start in range(0, len(rows), PAGE):
            asked = table.take(rows[start : start + PAGE]).combine_chunks()
            ids = document_ids(asked[self._dataset.id_column].combine_chunks()).to_pylist()
            with translated(self._settings):
                found = self._client.mget(
                    index=self._index,
                    ids=ids,
                    source_includes=LOG_POSITION,
                    filter_path="docs._source",
                )["docs"]
            if len(found) < len(ids):
                raise PlaneUnavailable(
                    "Elasticsearch has lost rows that it held a moment ago. Write them again."
                )
            positions = zip(*(asked[name].to_pylist() for name in LOG_POSITION), strict=True)
            own += sum(
                tuple(held["_source"][name] for name in LOG_POSITION) == position
                for held, position in zip(found, positions, strict=True)
            )
        return own

    def _reject(self, refused: pa.Table, reason: str) -> Reject:
        """A refused row as a dead-letter message, in a form that can be published again."""
        [row] = refused.select(LOG_POSITION).to_pylist()
        [batch] = refused.combine_chunks().to_batches()
        [message] = self._dataset.encode(batch, self._dataset.subject_prefix(self._settings))
        return Reject(
            sequence=row["stream_seq"],
            time=refused["stream_time"].cast(pa.int64())[0].as_py() * 1000,
            subject=message.subject,
            headers=None,
            payload=message.payload,
            reason=f"Elasticsearch refuses the {self._dataset.noun}: {reason}",
            row=row["stream_row"],
        )
