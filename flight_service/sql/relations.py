"""Finds a statement's relations, and replaces each by the rows that the principal may read.

Names of common table expressions are replaced by generated ones, and every other relation becomes a
sub-select. So the engine never resolves a name that a client wrote.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from flight_service.errors import InvalidRequest
from flight_service.sql.catalogue import Dialect, Relation
from flight_service.sql.grammar import written

Name = tuple[str, str, str]
"""Catalogue, schema and name; the first two are empty if the statement omits them."""


def folded(tree: exp.Expr, dialect: Dialect) -> exp.Expr:
    """The tree with normalised names: PostgreSQL converts unquoted names to lower case."""
    if dialect == "postgres":
        for node in tree.find_all(exp.Identifier):
            if not node.args.get("quoted"):
                node.set("this", node.this.lower())
    return tree


def relations_named(tree: exp.Expr) -> frozenset[Name]:
    """The relations of a statement, without its common table expressions."""
    return frozenset(name_of(table) for table, cte in _tables(tree, {}) if cte is None)


def name_of(table: exp.Table) -> Name:
    return table.catalog, table.db, table.name


@dataclass
class Replaced:
    """A statement with marks for its relations, and their SELECTs."""

    tree: exp.Expr
    used: dict[str, Relation] = field(default_factory=dict)
    """The relations by their marks."""

    @property
    def values(self) -> Mapping[str, str]:
        """The values that the relations bind."""
        return {name: value for one in self.used.values() for name, value in one.values.items()}

    def sql(self, dialect: Dialect) -> str:
        """The statement with the SELECTs of its relations."""
        return self.filled(written(self.tree, dialect), {})

    def filled(self, text: str, selects: Mapping[str, str]) -> str:
        """The written statement with the SELECTs of its relations, or with others by marks."""
        for mark, relation in self.used.items():
            text = text.replace(f'"{mark}"', f"({selects.get(mark, relation.select)})")
        return text


def replaced(tree: exp.Expr, known: Mapping[Name, Relation]) -> Replaced:
    """The statement with its relations replaced. Modifies the tree.

    Raises:
        InvalidRequest: a relation is not known.
    """
    token = secrets.token_hex(8)
    result = Replaced(tree)
    for number, (table, cte) in enumerate(list(_tables(tree, {}, token))):
        alias = table.args.get("alias")
        if alias is None:
            identifier = exp.to_identifier(table.name, quoted=True)
            alias = exp.TableAlias(this=identifier)
        if cte is None:
            relation = known.get(name_of(table))
            if relation is None:
                raise InvalidRequest(f"There is no relation {table.name!r}.")
            cte = f"r{number}_{token}"
            result.used[cte] = relation
        table.set("this", exp.to_identifier(cte, quoted=True))
        table.set("db", None)
        table.set("catalog", None)
        table.set("alias", alias)
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)
    return result


def _tables(
    node: exp.Expr, scope: Mapping[str, str], token: str | None = None
) -> Iterator[tuple[exp.Table, str | None]]:
    """Each table with the new name of its common table expression, None for a relation. With a
    token, common table expressions are renamed."""
    clause = node.args.get("with_")
    if isinstance(clause, exp.With):
        inner = dict(scope)
        tables = [one for one in clause.expressions if not one.args.get("scalar")]
        names = {one.alias: f"w{secrets.token_hex(8)}" for one in tables}
        if len(names) < len(tables):
            raise InvalidRequest("Two parts of a WITH have the same name.")
        if clause.args.get("recursive"):
            inner |= names
        for one in clause.expressions:
            yield from _tables(one.this, inner, token)
            if one in tables:
                inner[one.alias] = names[one.alias]
                if token is not None:
                    new = exp.to_identifier(names[one.alias], quoted=True)
                    one.args["alias"].set("this", new)
        scope = inner
    if isinstance(node, exp.Table):
        own = not node.db and not node.catalog
        yield node, scope.get(node.name) if own else None
    for key, value in node.args.items():
        if key == "with_":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expr):
                yield from _tables(child, scope, token)
