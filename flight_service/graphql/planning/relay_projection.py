"""What relay selects beside plain rows: the edges of a page, and a node of any type."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from flight_service.graphql.arrow.shapes import TYPENAME, Constant, Leaf, Member, Struct
from flight_service.graphql.planning.levels import Level
from flight_service.graphql.planning.projection import Projector
from flight_service.graphql.request.selection import Selected, narrowed
from flight_service.graphql.sources.values import NULL, Value


class RelayProjector(Projector):
    """Also makes the shapes of edges and nodes."""

    def node(
        self, selected: Sequence[Selected], interface: str, type_name: str, value: Value
    ) -> Struct:
        """The shape of a row of an interface whose type is known: as of any row of the interface,
        the fields that the type does not have being null."""
        everyone = self.schema.possible(interface)
        shown = [n for n, one in enumerate(selected) if one.key == TYPENAME]
        place = shown[0] if shown else None
        members = [Member(TYPENAME, Constant(type_name), nullable=False, place=place)]
        for place, one in enumerate(selected):
            if one.key == TYPENAME:
                continue
            own = narrowed(one, type_name)
            if own is not None and own.fields[0][1] == TYPENAME:
                made = Member(one.key, Constant(type_name), nullable=False)
            elif own is not None:
                made = self.of_type(own, type_name, value, Level(), ())
            else:
                made = self.member_of(one, min(one.fields[0][0]), NULL, Level(), ())
            if one.types != everyone:
                made = replace(made, nullable=True, types=one.types)
            members.append(replace(made, place=place))
        if not self.columns:
            self.emit(Level(), "TRUE")
        return Struct(tuple(members))

    def edge(self, selected: Selected, type_name: str, value: Value, cursor: str) -> Struct:
        """The shape of an edge of a page, whose node is a row."""
        members: list[Member] = []
        for one in selected.children:
            match one.fields[0][1]:
                case "cursor":
                    leaf = Leaf(self.emit_row(cursor), pa.string())
                    members.append(Member(one.key, leaf, nullable=False))
                case "node":
                    parts = self.members_of(one.children, type_name, value, Level(), (one.key,))
                    members.append(Member(one.key, Struct(parts), nullable=False))
                case _:
                    members.append(Member(one.key, Constant(f"{type_name}Edge"), nullable=False))
        return Struct(tuple(members))
