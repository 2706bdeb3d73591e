"""The rows of a plane's assets, read through the plane's public reader."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa

from flight_service.assets import Asset
from flight_service.flights import Extent, Part
from fraiseql_assets.cancellation import Cancellation
from fraiseql_assets.catalogue import AGGREGATES
from fraiseql_assets.planes import AssetReader, PartitionStats

AGGREGATE_KEYS = {asset.key for asset in AGGREGATES}


@dataclass(frozen=True, slots=True)
class PlaneSource:
    """One asset of a plane; see `flight_service.assets.AssetSource`."""

    reader: AssetReader
    key: str

    @property
    def schema(self) -> pa.Schema:
        return self.reader.schema(self.key)

    def of_tenant(self, tenant: str | None) -> "PlaneSource":
        return replace(self, reader=self.reader.of_tenant(tenant))

    def extent(self, ticket: Asset, cancellation: Cancellation) -> Extent:
        found = self._partitions(ticket, cancellation)
        size = sum(p.bytes for p in found)
        # Rows of an aggregate are merged over partitions, so counts of partitions cannot be added.
        merged = self.key in AGGREGATE_KEYS and len(found) > 1
        rows = (
            self.reader.rows(self.key, [p.day for p in found], cancellation=cancellation)
            if merged
            else sum(p.rows for p in found)
        )
        materialised = [p.materialised_at for p in found if p.materialised_at]
        newest = max(materialised, default=None)
        return Extent(
            rows=rows,
            bytes=size or None,
            parts=() if merged else tuple(_part(self.key, partition) for partition in found),
            about={
                "rows": rows,
                "bytes": size or None,
                "partitions": len(found),
                "first_partition": f"{found[0].day}" if found else None,
                "last_partition": f"{found[-1].day}" if found else None,
                "last_materialisation": newest.isoformat() if newest else None,
            },
        )

    def stream(self, ticket: Asset, cancellation: Cancellation) -> Iterator[pa.RecordBatch]:
        return self.reader.batches(
            self.key, self._days(ticket, cancellation), cancellation=cancellation
        )

    def _days(self, ticket: Asset, cancellation: Cancellation) -> Sequence[date] | None:
        if ticket.whole:
            return None
        if ticket.partition is not None:
            return [ticket.partition]
        return [partition.day for partition in self._partitions(ticket, cancellation)]

    def _partitions(self, ticket: Asset, cancellation: Cancellation) -> list[PartitionStats]:
        found = self.reader.partitions(self.key, cancellation=cancellation)
        return [partition for partition in found if ticket.covers(partition.day)]


def _part(key: str, partition: PartitionStats) -> Part:
    at = partition.materialised_at
    return Part(
        Asset(asset=key, partition=partition.day),
        {
            "partition": f"{partition.day}",
            "rows": partition.rows,
            "bytes": partition.bytes or None,
            "materialised_at": at.isoformat() if at else None,
        },
    )
