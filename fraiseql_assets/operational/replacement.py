"""Rebuilds a day of the operational plane in a new index and swaps it in."""

from collections.abc import Generator, Iterable
from contextlib import suppress
from datetime import date
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from fraiseql_assets.datasets import Dataset
from fraiseql_assets.ledger import require_ranges_covered, require_rows_held
from fraiseql_assets.operational.availability import refresh, require_available
from fraiseql_assets.operational.client import translated
from fraiseql_assets.operational.indices import Names, create, drop, indices_of_day
from fraiseql_assets.operational.ledger import delete_entries, read_ledger, write_entry
from fraiseql_assets.operational.results import document_ids_of
from fraiseql_assets.operational.writer import Writer
from fraiseql_assets.planes import Block, LedgerEntry, Written
from fraiseql_assets.settings import Settings


class DayReplacement:
    """A day's rows in a new index, which replaces the live one in `swap`.

    The aliases are switched in one atomic step. A reader sees either the old or the new day. Runs
    of a plane are serialised, and the next run drops what a killed run left there.
    """

    def __init__(
        self, client: Elasticsearch, settings: Settings, dataset: Dataset, day: date
    ) -> None:
        self._client, self._settings = client, settings
        self._names = Names.of(settings, dataset)
        self._day = day
        indices = indices_of_day(client, self._names, day)
        drop(client, *indices.leftover)
        self._index = indices.next
        create(client, self._names, self._index)
        self._writer = Writer(client, settings, dataset, self._writable_index, through_alias=False)

    def write(self, block: Block) -> Written:
        return self._writer.write(block)

    def write_all(self, blocks: Iterable[Block]) -> Generator[Written]:
        for block in blocks:
            yield self.write(block)

    def swap(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            require_rows_held(entry, self.count())
            others = read_ledger(self._client, self._names, entry.stream, entry.day)
            require_ranges_covered(entry, others)
            before = indices_of_day(self._client, self._names, self._day).live
            self._client.indices.update_aliases(actions=self._in_place_of(before))
            write_entry(self._client, self._names, entry)
            # An entry that was recorded since then stays: its run detects that its rows are
            # missing.
            others = [other for other in others if other.range != entry.range]
            delete_entries(self._client, self._names, others)
            drop(self._client, *before)

    def _writable_index(self) -> str:
        # If another rebuild has dropped it, the swap finds too few rows in the new index.
        with suppress(NotFoundError):
            require_available(self._client, self._index)
        return self._index

    def abandon(self) -> None:
        with translated(self._settings):
            drop(self._client, self._index)

    def _in_place_of(self, before: tuple[str, ...]) -> list[dict[str, Any]]:
        aliases = (self._names.day(self._day), self._names.all_days)
        removed = [
            {"remove": {"index": index, "alias": alias}} for index in before for alias in aliases
        ]
        added = [{"add": {"index": self._index, "alias": alias}} for alias in aliases]
        return [*removed, *added]

    def missing(self, most: int) -> list[str]:
        lost: list[str] = []
        with translated(self._settings):
            live = indices_of_day(self._client, self._names, self._day).live
            for index in live:
                for ids in document_ids_of(self._client, index):
                    lost += self._absent(ids)
                    if len(lost) >= most:
                        return lost[:most]
        return lost

    def _absent(self, ids: list[str]) -> list[str]:
        """The ids that have no document in the new index."""
        found = self._client.mget(
            index=self._index, ids=ids, source_includes="stream_seq",
            filter_path="docs._id,docs._source",
        ).get("docs", [])  # fmt: skip
        held = {doc["_id"] for doc in found if "_source" in doc}
        return [each for each in ids if each not in held]

    def count(self) -> int:
        with translated(self._settings):
            refresh(self._client, self._index)
            return self._client.count(index=self._index)["count"]
