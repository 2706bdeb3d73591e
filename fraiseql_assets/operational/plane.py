"""The operational plane: Elasticsearch or OpenSearch as the pipeline uses it."""

from collections.abc import Generator, Iterable, Iterator
from datetime import date, timedelta
from functools import cached_property, partial

import pyarrow as pa
from elasticsearch import Elasticsearch, NotFoundError

from fraiseql_assets.datasets import EVENTS, Dataset
from fraiseql_assets.erasures import Erasure
from fraiseql_assets.operational.availability import refresh
from fraiseql_assets.operational.client import address, connect, translated
from fraiseql_assets.operational.erasures import erased_days, read_erasures, write_erasure
from fraiseql_assets.operational.indices import Names, ensure_day
from fraiseql_assets.operational.ledger import delete_entries, read_ledger, write_entry
from fraiseql_assets.operational.replacement import DayReplacement
from fraiseql_assets.operational.results import stream_day
from fraiseql_assets.operational.retention import drop_expired
from fraiseql_assets.operational.setup import setup_indices
from fraiseql_assets.operational.writer import Writer
from fraiseql_assets.planes import (
    Block,
    DayCounts,
    LedgerEntry,
    PlaneNotSetUp,
    PlaneUnavailable,
    Written,
)
from fraiseql_assets.settings import Settings


class OperationalPlane:
    """Elasticsearch as a plane; `fraiseql_assets.planes.Plane` documents the methods."""

    name = "operational"

    def __init__(self, settings: Settings, dataset: Dataset = EVENTS) -> None:
        self._settings, self.dataset = settings, dataset
        self._names = Names.of(settings, dataset)

    @cached_property
    def _client(self) -> Elasticsearch:
        return connect(self._settings, timeout=self._settings.request_timeout_seconds)

    def ping(self) -> None:
        client = connect(self._settings, timeout=self._settings.probe_timeout_seconds)
        try:
            with translated(self._settings):
                if not client.indices.exists(index=self._names.ledger):
                    raise self._not_set_up(f"index {self._names.ledger}")
                if not client.indices.exists_index_template(name=self._names.all_days):
                    raise self._not_set_up(f"index template {self._names.all_days}")
        finally:
            client.close()

    def _not_set_up(self, lacks: str) -> PlaneNotSetUp:
        return PlaneNotSetUp(
            f"Elasticsearch at {address(self._settings)} has no {lacks}. "
            "Run `fraiseql-assets setup`."
        )

    def describe(self) -> str:
        with translated(self._settings):
            version = self._client.info()["version"]
        title = "OpenSearch" if version.get("distribution") == "opensearch" else "Elasticsearch"
        return f"{title} {version['number']} at {address(self._settings)}"

    def setup(self) -> list[str]:
        return setup_indices(self._settings, self.dataset)

    def ledger(self, stream: str, day: date | None = None) -> list[LedgerEntry]:
        with translated(self._settings):
            return read_ledger(self._client, self._names, stream, day)

    def record(self, entry: LedgerEntry) -> None:
        """See the protocol. The rows of a committed range are counted first.

        Raises:
            PlaneUnavailable: written rows are missing. The server was killed and lost them, or
            their day was replaced meanwhile; write the range again.
        """
        with translated(self._settings):
            if entry.kind == "range" and entry.state == "committed":
                self._refuse_lost_rows(entry)
            write_entry(self._client, self._names, entry)

    def compact(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            others = [
                other
                for other in read_ledger(self._client, self._names, entry.stream, entry.day)
                if other.state == "committed"
                and other.range != entry.range
                and entry.range.covers(other.range)
            ]
            write_entry(self._client, self._names, entry)
            delete_entries(self._client, self._names, others)

    def _refuse_lost_rows(self, entry: LedgerEntry) -> None:
        held = self._count_range(entry)
        if held < entry.rows:
            raise PlaneUnavailable(
                f"Elasticsearch at {address(self._settings)} holds {held:,} of the {entry.rows:,} "
                f"{self.dataset.name} of {entry.range} that were written. Write the range again."
            )

    def _count_range(self, entry: LedgerEntry) -> int:
        bounds = {"gte": entry.range.first, "lte": entry.range.last}
        alias = self._names.day(entry.day)
        try:
            # This also makes the rows visible to every later search.
            refresh(self._client, alias)
            return self._client.count(index=alias, query={"range": {"stream_seq": bounds}})["count"]
        except NotFoundError:
            return 0

    def write(self, block: Block) -> Written:
        target = partial(ensure_day, self._client, self._names, block.day)
        writer = Writer(self._client, self._settings, self.dataset, target, through_alias=True)
        return writer.write(block)

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        for block in blocks:
            yield self.write(block)

    def replace(self, day: date) -> DayReplacement:
        with translated(self._settings):
            return DayReplacement(self._client, self._settings, self.dataset, day)

    def count(self, day: date, *, distinct: bool = True) -> DayCounts:
        """See the protocol. The ids of a day are distinct because they are document ids."""
        del distinct
        alias = self._names.day(day)
        with translated(self._settings):
            try:
                refresh(self._client, alias)
                found = self._client.search(
                    index=alias,
                    size=0,
                    track_total_hits=True,
                    # A float, which is exact below 2**53; a stream does not reach that.
                    aggs={edge: {edge: {"field": "stream_seq"}} for edge in ("min", "max")},
                )
            except NotFoundError:
                return DayCounts(0, 0, 0, 0)
        rows = found["hits"]["total"]["value"]
        first, last = (int(found["aggregations"][edge]["value"] or 0) for edge in ("min", "max"))
        return DayCounts(rows, rows, first, last)

    def events(self, day: date, last: int) -> Iterator[pa.RecordBatch]:
        filters = [{"range": {"stream_seq": {"lte": last}}}]
        return stream_day(self._client, self._settings, self.dataset, day, filters)

    def record_erasure(self, erasure: Erasure) -> None:
        with translated(self._settings):
            write_erasure(self._client, self._names, erasure)

    def erasures(self, stream: str) -> list[Erasure]:
        with translated(self._settings):
            return read_erasures(self._client, self._names, stream)

    def erased_days(self, erasure: Erasure) -> list[date]:
        with translated(self._settings):
            return erased_days(self._client, self._names, erasure)

    def enforce_retention(self, today: date) -> list[str]:
        oldest = today - timedelta(days=self.dataset.retention_days(self._settings) - 1)
        with translated(self._settings):
            return drop_expired(self._client, self._names, oldest)

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()
