"""What the service offers."""

import json
from dataclasses import dataclass
from typing import Any

from pyarrow import flight


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """An asset, a query or a view that can be read by its name."""

    name: str
    description: str
    rows: int | None
    """None where it is unknown."""
    bytes: int | None
    partitions: int | None
    columns: tuple[str, ...]
    error: str | None
    """Why it cannot be read now."""

    @classmethod
    def of(cls, info: flight.FlightInfo) -> "AssetInfo":
        about: dict[str, Any] = json.loads(info.app_metadata or b"{}")
        return cls(
            name=b"/".join(info.descriptor.path).decode(),
            description=about.get("description") or "",
            rows=known(info.total_records),
            bytes=known(info.total_bytes),
            partitions=about.get("partitions"),
            columns=tuple(info.schema.names),
            error=about.get("error"),
        )


def known(total: int) -> int | None:
    """A total of a FlightInfo, where -1 stands for unknown."""
    return None if total < 0 else total
