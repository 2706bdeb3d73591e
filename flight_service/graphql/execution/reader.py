# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The result of a plan: as Arrow, streamed in batches, and as JSON of identical content."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flight_service.cancellation import Cancellation
from flight_service.graphql.arrow.assemble import assemble
from flight_service.graphql.arrow.batching import batches_of
from flight_service.graphql.arrow.shapes import (
    Constant,
    Leaf,
    ListOf,
    Member,
    Shape,
    Struct,
    arrow_schema,
    arrow_type,
)
from flight_service.graphql.arrow.to_json import object_text, rows_text
from flight_service.graphql.errors import BadDocument, GraphQLFailure, LimitExceeded, QueryRefused
from flight_service.graphql.execution.admission import MANY_ROWS, SmallResults
from flight_service.graphql.execution.diagnosis import bad_argument, bad_value, no_text
from flight_service.graphql.execution.relay import page_of
from flight_service.graphql.planning.plan import Plan, RootPlan
from flight_service.graphql.postgres.database import Database, Transaction
from flight_service.graphql.postgres.driver import BadValue
from flight_service.monitoring.calls import current

FORM = b"graphql:form"


@dataclass(frozen=True, slots=True)
class Reading:
    """How results are read."""

    database: Database
    batch_rows: int
    max_rows: int
    small: SmallResults = field(default_factory=SmallResults)

    def transaction(
        self,
        plan: Plan,
        settings: Mapping[str, str],
        cancellation: Cancellation | None,
        snapshot: str | None = None,
    ) -> Transaction:
        """The transaction that a plan is read in. Of a shared snapshot each reads a large part."""
        large = snapshot is not None or any(self._may_be_large(one) for one in plan.statements)
        return self.database.transaction(settings, cancellation, snapshot, large=large)

    def _may_be_large(self, root: RootPlan) -> bool:
        """Whether a result is not known to be small: by what it may have, or had when last read."""
        if root.most_rows is not None and root.most_rows < MANY_ROWS:
            return False
        return root.sql not in self.small


def result_schema(plan: Plan, field: str | None = None) -> pa.Schema:
    """The schema of a plan's result: of one root's own rows, or of one row with a column a root.
    Its metadata say the root's form, see `RootPlan.form`.

    Raises:
        QueryRefused: there is no root of that name.
    """
    root = picked(plan, field)
    if root is not None:
        return root.schema.with_metadata({FORM: root.form.encode()})
    return arrow_schema(tuple(one if isinstance(one, Member) else one.member for one in plan.roots))


def result_batches(
    reading: Reading,
    plan: Plan,
    settings: Mapping[str, str],
    field: str | None = None,
    cancellation: Cancellation | None = None,
    snapshot: str | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Streams a plan's result in batches of `result_schema`. Closing the iterator ends the work.
    It is read from `snapshot`, where one is given that another transaction exports.

    Raises:
        GraphQLFailure: as soon as it is known, which may be after some batches.
    """
    root = picked(plan, field)
    with reading.transaction(plan, settings, cancellation, snapshot) as transaction:
        if root is not None:
            yield from _root_batches(reading, transaction, root)
            return
        columns = [
            pa.array([one.shape.value], pa.string())
            if isinstance(one, Member) and isinstance(one.shape, Constant)
            else _as_column(reading, transaction, one)
            for one in plan.roots
        ]
    if not columns:
        yield pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
        return
    yield pa.RecordBatch.from_arrays(columns, schema=result_schema(plan))


def result_json(
    reading: Reading,
    plan: Plan,
    settings: Mapping[str, str],
    cancellation: Cancellation | None = None,
) -> Iterator[bytes]:
    """Streams the fields of a GraphQL response's `data`, in pieces: what stands in its braces.

    Raises:
        GraphQLFailure: as soon as it is known, which may be after some pieces.
    """
    if not plan.statements:
        fields = [f'"{one.key}":'.encode() + _constant_json(one) for one in plan.constants]
        yield b",".join(fields)
        return
    with reading.transaction(plan, settings, cancellation) as transaction:
        for number, root in enumerate(plan.roots):
            key = f'{"," if number else ""}"{root.key}":'.encode()
            if isinstance(root, Member):
                yield key + _constant_json(root)
            elif root.form == "list":
                yield key + b"["
                try:
                    yield from _list_json(_root_batches(reading, transaction, root), root)
                except GraphQLFailure:
                    # A list that breaks off is closed, so that an error can follow it.
                    yield b"]"
                    raise
                yield b"]"
            else:
                batches = [b for b in _root_batches(reading, transaction, root) if b.num_rows]
                _some_row(root, batches)
                if root.form == "count":
                    yield key + msgspec.json.encode(batches[0].column(0)[0].as_py())
                    continue
                yield key + (object_text(batches[0], root.members) if batches else b"null")


def _list_json(batches: Iterator[pa.RecordBatch], root: RootPlan) -> Iterator[bytes]:
    separator = b""
    for batch in batches:
        if batch.num_rows:
            yield separator + rows_text(batch, root.members).to_pybytes()
            separator = b","


def _constant_json(member: Member) -> bytes:
    assert isinstance(member.shape, Constant)
    value = member.shape.value
    return value.encode() if member.shape.json else msgspec.json.encode(value)


def picked(plan: Plan, field: str | None) -> RootPlan | None:
    """The root whose rows are the result; None when the result is one row of all roots.

    Raises:
        QueryRefused: there is no root of that name.
    """
    if field is None:
        only = plan.roots[0] if len(plan.roots) == 1 else None
        return only if isinstance(only, RootPlan) else None
    for root in plan.statements:
        if root.key == field:
            return root
    keys = ", ".join(root.key for root in plan.statements)
    raise QueryRefused(f"The query has no field {field!r} at its top; it has {keys}.")


def _some_row(root: RootPlan, batches: list[pa.RecordBatch]) -> None:
    if not batches and not root.nullable:
        raise BadDocument(
            f"{root.key} has no row, and the schema says it is never null.", path=(root.key,)
        )


def _as_column(reading: Reading, transaction: Transaction, root: Any) -> pa.Array:
    """A root's whole result as one value."""
    batches = list(_root_batches(reading, transaction, root))
    if root.form == "count":
        return batches[0].column(0)
    rows = pa.Table.from_batches(batches, root.schema).combine_chunks()
    values = _as_structs(rows, root)
    if root.form == "list":
        offsets = pa.array([0, len(values)], pa.int32())
        return pa.ListArray.from_arrays(offsets, values, type=arrow_type(root.member.shape))
    _some_row(root, [batch for batch in batches if batch.num_rows])
    return values if len(values) else pa.nulls(1, values.type)


def _as_structs(rows: pa.Table, root: RootPlan) -> pa.Array:
    kind = arrow_type(Struct(root.members))
    if not root.members:
        return pa.array([{}] * rows.num_rows, kind)
    columns = [
        column.chunk(0) if column.num_chunks else pa.array([], column.type)
        for column in rows.columns
    ]
    return pa.StructArray.from_arrays(columns, fields=list(root.schema))


def _root_batches(
    reading: Reading, transaction: Transaction, root: RootPlan
) -> Iterator[pa.RecordBatch]:
    """A root's own rows, assembled."""
    if root.page is not None:
        yield _page(reading, transaction, root)
        return
    for _, batch in _assembled(reading, transaction, root):
        call = current.get()
        if call:
            call.count_rows(batch.num_rows)
        yield batch


def _page(reading: Reading, transaction: Transaction, root: RootPlan) -> pa.RecordBatch:
    page = root.page
    assert page is not None
    cursors: list[pa.Array] = [pa.array([], pa.string())]
    batches: list[pa.RecordBatch] = []
    for flat, batch in _assembled(reading, transaction, root):
        cursors.append(flat.column(page.cursor))
        batches.append(batch)
    rows = pa.Table.from_batches(batches, arrow_schema(root.rows.members))
    total = None if page.total is None else _total(transaction, page.total, root.values)
    return page_of(page, rows, pa.chunked_array(cursors), total)


def _total(transaction: Transaction, sql: str, values: Sequence[str]) -> int:
    [batch] = [one for one in transaction.batches(sql, values) if one.num_rows]
    return batch.column(0)[0].as_py()


def _assembled(
    reading: Reading, transaction: Transaction, root: RootPlan
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Each batch as PostgreSQL sent it, and as it was asked for."""
    row, checked, whole = 0, False, False
    texts = [leaf.column for leaf in _leaves(root.rows) if leaf.from_document]
    batches = batches_of(transaction.batches(root.sql, root.values), reading.batch_rows)

    def ask(sql: str, values: Sequence[str]) -> pa.Table:
        with transaction.another() as other:
            return other.table(sql, values)

    try:
        for flat in batches:
            if row + flat.num_rows > reading.max_rows:
                raise LimitExceeded.of_rows(f"{root.key} has", reading.max_rows, (root.key,))
            if not checked and any(_looks_nested(flat.column(n)) for n in texts):
                checked = True
                _no_text(transaction, root)
            made = assemble(flat, root.rows, row, root.key, ask)
            row += flat.num_rows
            yield flat, made
        whole = True
    except BadValue as error:
        raise _found(transaction, root) or error from error
    finally:
        batches.close()
        reading.small.note(root.sql, row, whole=whole)


def _found(transaction: Transaction, root: RootPlan) -> GraphQLFailure | None:
    """The value that the statement failed on, looked for in a transaction of its own: one that the
    client gave, or one in a row."""
    with transaction.another() as other:
        return bad_argument(other, root) or bad_value(other, root)


def _no_text(transaction: Transaction, root: RootPlan) -> None:
    with transaction.another() as other:
        if (failure := no_text(other, root)) is not None:
            raise failure


def _looks_nested(column: pa.Array) -> bool:
    """Whether some text begins as an object or a list would; few texts do."""
    values = column.flatten() if isinstance(column, pa.ListArray) else column
    nested = pc.or_(pc.starts_with(values, "["), pc.starts_with(values, "{"))
    return bool(pc.any(nested).as_py())


def _leaves(shape: Shape) -> Iterator[Leaf]:
    match shape:
        case Leaf():
            yield shape
        case Struct(members):
            for one in members:
                yield from _leaves(one.shape)
        case ListOf(item=item):
            yield from _leaves(item.shape)
        case Constant():
            pass
