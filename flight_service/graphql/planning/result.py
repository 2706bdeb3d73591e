"""The result of an operation: its root fields with their logical types."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import pyarrow as pa

from flight_service.graphql.arrow.result_types import (
    ConstantType,
    ListType,
    ObjectType,
    ResultField,
    arrow_schema,
)
from flight_service.graphql.errors import QueryRefused

Form = Literal["list", "single", "page", "count"]
FORM = b"graphql:form"
"""The key of a schema's metadata that has the form of the root whose rows it describes."""


@dataclass(frozen=True, slots=True)
class RootResult:
    """The result of one root field."""

    key: str
    form: Form
    nullable: bool
    fields: tuple[ResultField, ...]
    """The fields of its rows: of a list's rows, or of the one row of an object, page or count."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of its rows."""
        return arrow_schema(self.fields)

    @property
    def field(self) -> ResultField:
        """Its whole result as one value, in a column beside those of other roots."""
        if self.form == "count":
            return self.fields[0]
        row = ObjectType(self.fields)
        if self.form == "list":
            return ResultField(self.key, ListType(ResultField("item", row, False)), self.nullable)
        return ResultField(self.key, row, self.nullable)


@dataclass(frozen=True, slots=True)
class ConstantResult:
    """The result of `__typename` or of introspection, which needs no backend."""

    key: str
    type: ConstantType

    @property
    def field(self) -> ResultField:
        """It as a column beside those of other roots."""
        return ResultField(self.key, self.type, nullable=False)

    @property
    def json(self) -> bytes:
        """Its value as JSON."""
        value = self.type.value
        return value.encode() if self.type.json else msgspec.json.encode(value)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an operation: its roots, in the order of the document."""

    roots: tuple[RootResult | ConstantResult, ...]

    @property
    def read(self) -> Iterator[RootResult]:
        """The roots that a backend reads."""
        return (root for root in self.roots if isinstance(root, RootResult))

    def root(self, field: str | None) -> RootResult | None:
        """The root whose rows are returned: the one of that key, or the only one. None if the
        result is one row with a column for each root.

        Raises:
            QueryRefused: there is no root of that key.
        """
        if field is None:
            only = self.roots[0] if len(self.roots) == 1 else None
            return only if isinstance(only, RootResult) else None
        for root in self.read:
            if root.key == field:
                return root
        keys = ", ".join(root.key for root in self.read)
        raise QueryRefused(f"The query has no field {field!r} at its top; it has {keys}.")

    def schema(self, field: str | None = None) -> pa.Schema:
        """The Arrow schema of the rows of one root, with its form in the metadata, or of one row
        with a column for each root.

        Raises:
            QueryRefused: there is no root of that key.
        """
        root = self.root(field)
        if root is not None:
            return root.schema.with_metadata({FORM: root.form.encode()})
        return arrow_schema(root.field for root in self.roots)
