"""Rebuilding a day of the operational plane beside the live one, and swapping it in."""

from contextlib import suppress
from datetime import date
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from fraiseql_assets.operational.availability import refresh, require_available
from fraiseql_assets.operational.client import translated
from fraiseql_assets.operational.indices import Names, create, drop, indices_of_day
from fraiseql_assets.operational.ledger import delete_entries, read_ledger, write_entry
from fraiseql_assets.operational.writer import Writer
from fraiseql_assets.planes import Block, LedgerEntry, PlaneError, Written
from fraiseql_assets.settings import Settings


class DayReplacement:
    """A day's events in an index of their own, which takes the place of the live one in `swap`.

    The aliases change hands in one atomic step, so that a reader sees the day as it was or as it
    will be. Runs of a plane are serialised: what a killed run has left behind is dropped by the
    next.
    """

    def __init__(self, client: Elasticsearch, settings: Settings, day: date) -> None:
        self._client, self._settings = client, settings
        self._names = Names.of(settings)
        self._day = day
        indices = indices_of_day(client, self._names, day)
        drop(client, *indices.leftover)
        self._index = indices.next
        create(client, self._names, self._index)
        self._writer = Writer(client, settings, self._writable_index, through_alias=False)

    def write(self, block: Block) -> Written:
        return self._writer.write(block)

    def swap(self, entry: LedgerEntry) -> None:
        with translated(self._settings):
            self._refuse_to_lose_events(entry)
            others = read_ledger(self._client, self._names, entry.stream, entry.day)
            _refuse_to_lose_ranges(entry, others)
            before = indices_of_day(self._client, self._names, self._day).live
            self._client.indices.update_aliases(actions=self._in_place_of(before))
            write_entry(self._client, self._names, entry)
            # An entry that came since then stays: its run finds out by itself that its rows do not.
            others = [other for other in others if other.range != entry.range]
            delete_entries(self._client, self._names, others)
            drop(self._client, *before)

    def _writable_index(self) -> str:
        # Where another rebuild has dropped it, the swap finds too few events in what is made anew.
        with suppress(NotFoundError):
            require_available(self._client, self._index)
        return self._index

    def abandon(self) -> None:
        with translated(self._settings):
            drop(self._client, self._index)

    def _in_place_of(self, before: tuple[str, ...]) -> list[dict[str, Any]]:
        aliases = (self._names.day(self._day), self._names.events)
        removed = [
            {"remove": {"index": index, "alias": alias}} for index in before for alias in aliases
        ]
        added = [{"add": {"index": self._index, "alias": alias}} for alias in aliases]
        return [*removed, *added]

    def _refuse_to_lose_events(self, entry: LedgerEntry) -> None:
        """A server that was killed in between may have lost what it had acknowledged."""
        refresh(self._client, self._index)
        held = self._client.count(index=self._index)["count"]
        if held != entry.rows:
            raise PlaneError(
                f"the new index of {entry.day} holds {held:,} events instead of {entry.rows:,}. "
                "Materialise the partition again."
            )


def _refuse_to_lose_ranges(entry: LedgerEntry, others: list[LedgerEntry]) -> None:
    outside = [
        str(other.range)
        for other in others
        if other.state == "committed" and not entry.range.covers(other.range)
    ]
    if outside:
        raise PlaneError(
            f"the day {entry.day} holds ranges that its replacement {entry.range} lacks: "
            f"{', '.join(outside)}. Materialise the partition again."
        )
