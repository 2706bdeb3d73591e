"""The columns that hold the fields of types, and the Arrow types that follow from them."""

from collections.abc import Mapping

import pyarrow as pa

from flight_service.graphql.postgres.catalogue import ColumnInfo, Relation
from flight_service.graphql.schema.compiled import Field
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.schema.scalars import kind_of
from flight_service.graphql.sources.keys import FieldKeys
from flight_service.graphql.sources.values import JSON
from flight_service.graphql.sources.view_expansion import ExpandedColumn, ExpandedObject


class FieldColumns:
    """Collects the columns of each field over all sources."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._columns: dict[tuple[str, str, str], list[ColumnInfo]] = {}

    @property
    def arrow_types(self) -> dict[tuple[str, str], pa.DataType]:
        """The Arrow types of fields that differ from those of their scalars: by type and field."""
        return {
            (type_name, field): arrow
            for (type_name, field, scalar), infos in self._columns.items()
            if (arrow := _arrow_type(scalar, infos))
        }

    def of_relation(self, relation: Relation, type_name: str) -> dict[str, ColumnInfo]:
        """The columns of a relation that hold fields of a type, by field."""
        found: dict[str, ColumnInfo] = {}
        for one in self._schema.fields(type_name).values():
            names = self._schema.naming.columns(one.name)
            info = next((relation.columns[n] for n in names if n in relation.columns), None)
            if info is not None and self._fits(one, info):
                found[one.name] = info
                self._add(type_name, one, info)
        return found

    def add_expanded(
        self,
        type_name: str,
        of: ExpandedObject,
        described: Mapping[str, ColumnInfo],
        keys: FieldKeys,
    ) -> None:
        """Adds the columns of an expanded view, which `described` has by name."""
        for name, one in self._schema.fields(type_name).items():
            found = of.members.get(keys.key(name))
            if isinstance(found, ExpandedColumn):
                self._add(type_name, one, described[found.column])
            elif found is not None and one.field_type.base in self._schema.types:
                self.add_expanded(one.field_type.base, found, described, keys.within(name))

    def add_wide_numbers(self, type_name: str, keys: FieldKeys) -> None:
        """Adds the `Int` fields of which some document has a number beyond 32 bits."""
        for owner in sorted(self._schema.possible(type_name)):
            for name, one in self._schema.fields(owner).items():
                below = keys.within(name)
                if below.seen.wide and kind_of(one.field_type.base).name == "Int":
                    self._add(owner, one, ColumnInfo(name, "int8"))
                elif below.seen.keys:
                    self.add_wide_numbers(one.field_type.base, below)

    def _add(self, type_name: str, one: Field, info: ColumnInfo) -> None:
        scalar = kind_of(one.field_type.base).name
        self._columns.setdefault((type_name, one.name, scalar), []).append(info)

    def _fits(self, one: Field, info: ColumnInfo) -> bool:
        """Whether a column with the name of a field has a type that fits it."""
        base = one.field_type.base
        is_object = base in self._schema.types or self._schema.is_abstract(base)
        if is_object or kind_of(base).name == "JSON":
            return info.type in JSON
        if one.field_type.of is not None:
            # PostgreSQL does not enforce dimensions: int[] may hold more, and is checked when read.
            is_array = info.type.startswith("_") and info.dimensions <= one.field_type.depth
            return info.type in JSON or is_array
        return not info.type.startswith("_")


def _arrow_type(scalar: str, infos: list[ColumnInfo]) -> pa.DataType | None:
    """The Arrow type for the values of all these columns; None if it is that of the scalar."""
    if scalar == "Int" and any(info.type in ("int8", "_int8") for info in infos):
        return pa.int64()
    sizes = [info.decimal for info in infos]
    if scalar != "Decimal" or not all(sizes):
        return None
    whole = max(size[0] - size[1] for size in sizes if size)
    scale = max(size[1] for size in sizes if size)
    return pa.decimal128(whole + scale, scale) if whole + scale <= 38 else None
