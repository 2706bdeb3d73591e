"""The columns that relay queries select beside plain rows: edges of a page, and a `node`."""

from collections.abc import Sequence

from flight_service.graphql.arrow.columns import Columns, NoColumn, ObjectColumns, ScalarColumn
from flight_service.graphql.arrow.result_types import TYPENAME, ObjectType, ResultType
from flight_service.graphql.planning.levels import Level
from flight_service.graphql.planning.projection import Projector
from flight_service.graphql.request.selection import Selected, narrowed
from flight_service.graphql.sources.values import NULL, Value


class RelayProjector(Projector):
    """Also projects edges and nodes."""

    def node(
        self, selected: Sequence[Selected], type_name: str, of: ObjectType, value: Value
    ) -> ObjectColumns:
        """The columns of a row of an interface whose type is known. Fields that the type does not
        have are null."""
        columns: list[Columns] = [NoColumn()]
        others = [one for one in selected if one.key != TYPENAME]
        for one, field in zip(others, of.fields[1:], strict=True):
            own = narrowed(one, type_name)
            columns.append(
                self.of_type(own, type_name, field.type, value, Level(), ())
                if own is not None
                else self.field(one, min(one.fields[0][0]), field.type, NULL, Level(), ())
            )
        if not self.columns:
            self.emit(Level(), "TRUE")
        return ObjectColumns(tuple(columns))

    def edge(
        self, selected: Selected, type_name: str, of: ResultType, value: Value, cursor: str
    ) -> ObjectColumns:
        """The columns of an edge of a page, whose node is a row."""
        assert isinstance(of, ObjectType), "the type of an edge"
        columns: list[Columns] = []
        for one, field in zip(selected.children, of.fields, strict=True):
            match one.name:
                case "cursor":
                    columns.append(ScalarColumn(self.emit_row(cursor)))
                case "node":
                    assert isinstance(field.type, ObjectType), "the type of a node"
                    inner = self.fields(
                        one.children, type_name, field.type, value, Level(), (one.key,)
                    )
                    columns.append(ObjectColumns(inner))
                case _:
                    columns.append(NoColumn())
        return ObjectColumns(tuple(columns))
