"""Streams a day's rows as Arrow, in the order of the log, from one point in time."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch, NotFoundError

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.events.schema import TIMESTAMP
from fraiseql_assets.operational.availability import refresh
from fraiseql_assets.operational.client import address, translated
from fraiseql_assets.operational.documents import documents_of
from fraiseql_assets.operational.engine import close_point, open_point
from fraiseql_assets.operational.indices import Names
from fraiseql_assets.operational.interruption import Interruption
from fraiseql_assets.planes import PlaneUnavailable
from fraiseql_assets.prefetch import prefetch
from fraiseql_assets.settings import Settings
from fraiseql_assets.tracing import span

FIRST_PAGE = 100
LARGEST_PAGE = 10_000
PAGE_BYTES = 8 * 2**20
"""The target size of a page, estimated from the previous page."""
KEEP_ALIVE = "2m"
TRIES = 3
"""How often a point in time may expire before any row of it is read."""
ORDER = ["stream_seq", "stream_row"]


def stream_day(
    client: Elasticsearch,
    settings: Settings,
    dataset: Dataset,
    day: date,
    filters: list[dict[str, Any]],
    interruption: Interruption | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields a day's rows that pass the filters, in record batches of the dataset's schema.

    The rows are those of the day when reading began. If that point in time expires because the day
    was replaced or the reader paused, reading continues after the last row. Closing the iterator
    ends the read, and so does `interruption`, with some error.

    Raises:
        PlaneUnavailable: the server cannot be reached.
    """
    interruption = interruption or Interruption()
    behind: tuple[int, int] | None = None
    tries = 0
    while tries < TRIES:
        try:
            pages = _pages(client, settings, dataset, day, filters, behind, interruption)
            # The server reads the next page while this one is converted and sent.
            with (
                span("Elasticsearch", system="elasticsearch"),
                closing(prefetch(pages, ahead=1)) as batches,
            ):
                for batch in batches:
                    yield batch
                    behind = (batch["stream_seq"][-1].as_py(), batch["stream_row"][-1].as_py())
                    tries = 0
            return
        except _PointExpired:
            tries += 1
    raise PlaneUnavailable(
        f"Elasticsearch at {address(settings)} closes a point in time of {day} before it can be "
        "read. Try again when it has less to do."
    )


class _PointExpired(Exception):
    """The server no longer knows the point in time."""


def _pages(
    client: Elasticsearch,
    settings: Settings,
    dataset: Dataset,
    day: date,
    filters: list[dict[str, Any]],
    behind: tuple[int, int] | None,
    interruption: Interruption,
) -> Iterator[pa.RecordBatch]:
    """The rows of one point in time after a log position."""
    if behind:
        filters = [*filters, _behind(*behind)]
    point = _open_point(client, settings, Names.of(settings, dataset).day(day))
    if point is None:
        return
    fields = [documents_of(dataset).source_of(name) for name in map(str, dataset.schema.names)]
    rows, after = FIRST_PAGE, None
    try:
        while True:
            with translated(settings), interruption.applies():
                found = _search(client, point, fields, filters, rows, after)
            point = found["pit_id"]
            hits = found.get("hits", {}).get("hits")
            if not hits:
                return
            batch = _batch([hit["_source"] for hit in hits], dataset.schema, fields)
            yield batch
            if len(hits) < rows:
                return
            after = hits[-1]["sort"]
            rows = max(1, min(LARGEST_PAGE, PAGE_BYTES * rows // batch.nbytes))
    finally:
        with translated(settings):
            close_point(client, point)


def document_ids_of(client: Elasticsearch, index: str) -> Iterator[list[str]]:
    """Yields the ids of an index's documents in pages, in the order of the log."""
    client.indices.refresh(index=index)
    after: list[Any] | None = None
    while True:
        hits = client.search(
            index=index, sort=ORDER, search_after=after, size=LARGEST_PAGE, source=False,
            track_total_hits=False, filter_path="hits.hits._id,hits.hits.sort",
        ).get("hits", {}).get("hits", [])  # fmt: skip
        if hits:
            yield [hit["_id"] for hit in hits]
        if len(hits) < LARGEST_PAGE:
            return
        after = hits[-1]["sort"]


def _open_point(client: Elasticsearch, settings: Settings, alias: str) -> str | None:
    """A point in time of a day, None if there is no such day."""
    with translated(settings):
        try:
            refresh(client, alias)
            return open_point(client, alias, KEEP_ALIVE)
        except NotFoundError:
            return None


def _search(
    client: Elasticsearch,
    point: str,
    fields: list[str],
    filters: list[dict[str, Any]],
    rows: int,
    after: list[Any] | None,
) -> dict[str, Any]:
    try:
        return client.search(
            pit={"id": point, "keep_alive": KEEP_ALIVE},
            query={"bool": {"filter": filters}},
            sort=ORDER,
            search_after=after,
            size=rows,
            source_includes=fields,
            track_total_hits=False,
            # A shard that fails is an error, not fewer rows.
            allow_partial_search_results=False,
            filter_path="pit_id,hits.hits._source,hits.hits.sort",
        ).body
    except NotFoundError as error:
        raise _PointExpired from error


def _behind(sequence: int, row: int) -> dict[str, Any]:
    same = [{"term": {"stream_seq": sequence}}, {"range": {"stream_row": {"gt": row}}}]
    return {
        "bool": {
            "should": [{"range": {"stream_seq": {"gt": sequence}}}, {"bool": {"filter": same}}],
            "minimum_should_match": 1,
        }
    }


def _batch(sources: list[dict[str, Any]], schema: pa.Schema, fields: list[str]) -> pa.RecordBatch:
    """Documents as one record batch; each column is read from its field."""
    arrays: list[pa.Array] = []
    for field, stored in zip(schema, fields, strict=True):
        values = [source.get(stored) for source in sources]
        if field.type == TIMESTAMP:
            arrays.append(pa.array(values, pa.utf8()).cast(TIMESTAMP))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
