"""Decides which keys the fields of the schema have in the documents of each relation."""

from collections.abc import Mapping

from flight_service.graphql.postgres.catalogue import Ask, Relation
from flight_service.graphql.schema.graphql_schema import Schema
from flight_service.graphql.sources.evidence import sampled, written
from flight_service.graphql.sources.keys import NOTHING, FieldKeys, Seen, keys_of
from flight_service.graphql.sources.values import JSON
from flight_service.graphql.sources.view_expansion import tables_of


class DocumentKeys:
    """The keys of relations' documents. Each relation is sampled once.

    A view's keys follow from the string literals in its definition and from the stored documents
    that it reads. Its rows are sampled only if these show nothing, since a view may be slow.
    """

    def __init__(self, schema: Schema, ask: Ask, relations: Mapping[str, Relation]) -> None:
        self._naming = schema.naming
        self._ask = ask
        self._relations = relations
        self._seen: dict[tuple[str, str], Seen] = {}
        owners = (*schema.types.values(), *schema.interfaces.values())
        self._names = frozenset(field.name for one in owners for field in one.fields)
        humped = {name for name in self._names if self._naming.snake(name) != name}
        self._distinguishing = humped | set(map(self._naming.snake, humped))

    def of(self, relation: Relation, column: str) -> FieldKeys:
        """The keys of the documents in a relation's column."""
        if relation.definition is None:
            seen = self._sampled(relation.name, column)
            return keys_of(self._naming, self._names, seen)
        texts: set[str] = set()
        for one in self._read_by(relation):
            if one.definition is not None:
                texts |= written(one.definition)
                continue
            for name, info in one.columns.items():
                if info.type in JSON:
                    texts |= self._sampled(one.name, name).all_keys
        seen = (
            self._sampled(relation.name, column)
            if self._distinguishing.isdisjoint(texts)
            else NOTHING
        )
        return keys_of(self._naming, self._names, seen, texts)

    def _sampled(self, relation: str, column: str) -> Seen:
        key = relation, column
        if key not in self._seen:
            self._seen[key] = sampled(self._ask, relation, column)
        return self._seen[key]

    def _read_by(self, view: Relation) -> list[Relation]:
        """A view, and all relations that it reads."""
        found, queue = {view.name: view}, [view]
        while queue:
            for name in tables_of(queue.pop().definition or ""):
                if name in self._relations and name not in found:
                    found[name] = self._relations[name]
                    queue.append(found[name])
        return list(found.values())
