"""The Arrow types that follow from the columns of a field."""

import pyarrow as pa

from flight_service.graphql.postgres.catalogue import ColumnInfo


def arrow_type_of(scalar: str, infos: list[ColumnInfo]) -> pa.DataType | None:
    """The Arrow type for the values of all these columns; None if it is that of the scalar."""
    if scalar == "Int" and any(info.type in ("int8", "_int8") for info in infos):
        return pa.int64()
    sizes = [info.decimal for info in infos]
    if scalar != "Decimal" or not all(sizes):
        return None
    whole = max(size[0] - size[1] for size in sizes if size)
    scale = max(size[1] for size in sizes if size)
    return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else None
