"""Plans a statement: finds the engine that runs it, for a principal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from flight_service.authentication import Principal
from flight_service.errors import UNAVAILABLE, InvalidRequest, ServiceError
from flight_service.sql.catalogue import (
    NO_VALUES,
    Binding,
    Catalogue,
    Execution,
    Relation,
    Statement,
)
from flight_service.sql.division import division
from flight_service.sql.grammar import check, parse, written
from flight_service.sql.parameters import take_parameters
from flight_service.sql.relations import Name, folded, relations_named, replaced
from flight_service.sql.timestamps import rewrite_timestamps
from fraiseql_assets.planes import PlaneError, PlaneUnavailable

SHOWN = 20
"""The maximum number of relation names in an error."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The defaults for names without a catalogue or schema."""

    catalogue: str | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A statement and its engine."""

    catalogue: Catalogue
    statement: Statement
    otherwise: "Planned | None" = None
    """The same for other engines, if it names no relation: clients send `SELECT 1` to test the
    service."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        one = self.statement
        parts = len(one.division.sql + (one.division.count or "")) if one.division else 0
        texts = (
            len(one.sql) + parts + sum(len(name) + len(value) for name, value in one.values.items())
        )
        parameters = 500 * len(one.parameters)
        return 1000 + 2 * texts + parameters + (self.otherwise.size if self.otherwise else 0)

    def execution(self, principal: Principal, binding: Binding = NO_VALUES) -> Execution:
        """See `flight_service.sql.catalogue.Catalogue.execution`."""
        try:
            return self.catalogue.execution(self.statement, binding, principal)
        except (ServiceError, PlaneUnavailable) as error:
            is_down = isinstance(error, PlaneUnavailable) or error.status is UNAVAILABLE
            if self.otherwise is None or not is_down:
                raise
            return self.otherwise.execution(principal, binding)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A statement parsed for one engine."""

    catalogue: Catalogue
    tree: exp.Expr
    names: frozenset[Name]


def plan(
    text: str, catalogues: Sequence[Catalogue], principal: Principal, defaults: Defaults
) -> Planned:
    """The statement for the engine of its relations; without relations, for the first engine.

    Raises:
        InvalidRequest: it is refused, or names unknown relations, or relations of two engines.
        ServiceError, PlaneError: an engine does not answer.
    """
    ordered = sorted(catalogues, key=lambda one: one.name != defaults.catalogue)
    if not ordered:
        raise InvalidRequest("There is no catalogue: no plane is on, and there is no schema.")
    candidates, problem = _read(text, ordered)
    bare = [one for one in candidates if not one.names]
    if bare:
        return _for_any(bare)
    known: dict[str, Mapping[Name, Relation]] = {}
    down: Exception | None = None
    for one in candidates:
        if not _may_name(one):
            continue
        try:
            found = _named(one, principal, defaults)
        except (ServiceError, PlaneError) as error:
            down = down or error
            continue
        known[one.catalogue.name] = found
        if one.names <= found.keys():
            return _planned(one, found)
    if not candidates and problem is not None:
        raise problem
    if down is not None:
        raise down
    raise InvalidRequest(_unknown(candidates, known, ordered, principal, problem))


def _for_any(candidates: Sequence[_Candidate]) -> Planned:
    """A statement without relations, for the first available engine."""
    found: Planned | None = None
    for one in reversed(candidates):
        planned = _planned(one, {})
        found = Planned(planned.catalogue, planned.statement, found)
    assert found is not None, "there are candidates"
    return found


def qualified(
    relations: Sequence[Relation], catalogue: str, defaults: Defaults
) -> dict[Name, Relation]:
    """Relations by every name that a statement may use."""
    by_name: dict[Name, Relation] = {}
    preferred = defaults.schema if defaults.catalogue in (None, catalogue) else None
    for one in sorted(relations, key=lambda one: one.schema_name == (preferred or "public")):
        by_name["", "", one.name] = one
        by_name["", one.schema_name, one.name] = one
        by_name[catalogue, one.schema_name, one.name] = one
        # Some clients omit the schema, and write the catalogue instead.
        by_name.setdefault(("", catalogue, one.name), one)
    return by_name


def _read(
    text: str, catalogues: Sequence[Catalogue]
) -> tuple[list[_Candidate], InvalidRequest | None]:
    """The statement parsed for each engine, and the first error."""
    found: list[_Candidate] = []
    problem: InvalidRequest | None = None
    for catalogue in catalogues:
        try:
            tree = parse(text, catalogue.dialect)
            check(tree, catalogue.dialect)
            tree = folded(tree, catalogue.dialect)
            found.append(_Candidate(catalogue, tree, relations_named(tree)))
        except InvalidRequest as error:
            problem = problem or error
    return found, problem


def _may_name(candidate: _Candidate) -> bool:
    """Whether no name belongs to another catalogue."""
    return all(name[0] in ("", candidate.catalogue.name) for name in candidate.names)


def _named(candidate: _Candidate, principal: Principal, defaults: Defaults) -> dict[Name, Relation]:
    catalogue = candidate.catalogue
    return qualified(catalogue.relations(principal), catalogue.name, defaults)


def _planned(candidate: _Candidate, found: Mapping[Name, Relation]) -> Planned:
    dialect = candidate.catalogue.dialect
    columns: list[pa.Field] = [field for name in candidate.names for field in found[name].columns]
    if dialect == "clickhouse":
        rewrite_timestamps(candidate.tree, columns)
    parameters = take_parameters(candidate.tree, columns)
    done = replaced(candidate.tree, found)
    text = written(done.tree, dialect)
    parts = division(done, text, parameters, dialect)
    statement = Statement(done.filled(text, {}), done.values, parameters, parts)
    return Planned(candidate.catalogue, statement)


def _unknown(
    candidates: Sequence[_Candidate],
    known: Mapping[str, Mapping[Name, Relation]],
    catalogues: Sequence[Catalogue],
    principal: Principal,
    problem: InvalidRequest | None,
) -> str:
    """The error for unknown names of a statement, with the known names."""
    by_engine = {
        one.catalogue.name: sorted(
            ".".join(filter(None, name))
            for name in one.names
            if name in known.get(one.catalogue.name, {})
        )
        for one in candidates
    }
    of_several = {engine: names for engine, names in by_engine.items() if names}
    every = frozenset().union(*(one.names for one in candidates))
    everywhere = frozenset().union(*(names.keys() for names in known.values()))
    missing = sorted(".".join(filter(None, name)) for name in every - everywhere)
    if missing and problem is not None and len(candidates) < len(catalogues) and not of_several:
        return str(problem)
    if not missing and len(of_several) > 1:
        told = "; ".join(f"{', '.join(names)} of {one}" for one, names in of_several.items())
        return f"A statement runs in one engine. This one names {told}."
    there = [
        f"{name} has {_some(sorted({one.name for one in found.values()}))}"
        for name, found in known.items()
    ]
    return f"There is no relation {', '.join(missing)}. The catalogue {'; '.join(there)}."


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN]) or 'none that you may read'}{more}"
