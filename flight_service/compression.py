"""Compression of Arrow data, as requested by each call."""

from typing import Literal, get_args

import pyarrow as pa

from flight_service.errors import InvalidRequest
from flight_service.tickets import shown

HEADER = "x-arrow-compression"
"""The header of a Flight call or an HTTP request that names the compression."""

Compression = Literal["none", "lz4", "zstd"]


def write_options(compression: str | None) -> pa.ipc.IpcWriteOptions:
    """The options for writing record batches with a compression; None means no compression.

    Raises:
        InvalidRequest: there is no such compression.
    """
    wanted = (compression or "none").strip().lower()
    if wanted not in get_args(Compression):
        raise InvalidRequest(
            f"There is no compression {shown(wanted)}. The header {HEADER} takes: "
            f"{', '.join(get_args(Compression))}."
        )
    return pa.ipc.IpcWriteOptions(compression=None if wanted == "none" else wanted)
