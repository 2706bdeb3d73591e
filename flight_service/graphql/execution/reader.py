# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute defines its functions at import, where type checkers do not see them)
"""Reads the result of a plan: as Arrow, streamed in batches, or as JSON of identical content."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flight_service.graphql.arrow.assemble import assemble
from flight_service.graphql.arrow.batching import batches_of
from flight_service.graphql.arrow.columns import scalar_columns
from flight_service.graphql.arrow.result_types import ObjectType, arrow_schema, arrow_type
from flight_service.graphql.arrow.to_json import object_text, rows_text
from flight_service.graphql.errors import BadDocument, GraphQLFailure
from flight_service.graphql.execution.admission import MANY_ROWS, SmallResults
from flight_service.graphql.execution.failing_value import bad_argument, bad_value, no_text
from flight_service.graphql.execution.relay import page_of
from flight_service.graphql.execution.session import Session
from flight_service.graphql.planning.plan import RootStatement, StatementPlan
from flight_service.graphql.planning.result import ConstantResult, RootResult
from flight_service.graphql.planning.row_limit import RowLimit
from flight_service.graphql.postgres.database import Database, Transaction
from flight_service.graphql.postgres.sqlstates import BadValue
from flight_service.monitoring.calls import current
from fraiseql_assets.cancellation import Cancellation


@dataclass(frozen=True, slots=True)
class Reading:
    """How results are read."""

    database: Database
    batch_rows: int
    limit: RowLimit
    small: SmallResults = field(default_factory=SmallResults)

    def transaction(
        self,
        plan: StatementPlan,
        session: Session,
        cancellation: Cancellation | None,
        snapshot: str | None = None,
    ) -> Transaction:
        """The transaction that a plan is read in. What reads another transaction's snapshot is
        always a part of a large result."""
        large = snapshot is not None or any(self._may_be_large(one) for one in plan.statements)
        return self.database.transaction(
            session.settings, cancellation, snapshot, large=large, reader=session.reader
        )

    def _may_be_large(self, root: RootStatement) -> bool:
        """Whether a result may be large: neither its limit nor its last size says otherwise."""
        if root.most_rows is not None and root.most_rows < MANY_ROWS:
            return False
        return root.sql not in self.small


def result_batches(
    reading: Reading,
    plan: StatementPlan,
    session: Session,
    field: str | None = None,
    cancellation: Cancellation | None = None,
    snapshot: str | None = None,
) -> Generator[pa.RecordBatch, None, None]:
    """Streams a plan's result in batches of `Result.schema`. Closing the iterator cancels the work.
    `snapshot` is one that another transaction exports.

    Raises:
        GraphQLFailure: as soon as it is known, which may be after some batches.
    """
    root = plan.statement(field)
    with reading.transaction(plan, session, cancellation, snapshot) as transaction:
        if root is not None:
            yield from _root_batches(reading, transaction, root)
            return
        columns = [
            pa.array([one.type.value], pa.string())
            if isinstance(one, ConstantResult)
            else _as_column(reading, transaction, one)
            for one in plan.roots
        ]
    if not columns:
        yield pa.RecordBatch.from_struct_array(pa.array([{}], pa.struct([])))
        return
    yield pa.RecordBatch.from_arrays(columns, schema=plan.result.schema())


def result_json(
    reading: Reading,
    plan: StatementPlan,
    session: Session,
    cancellation: Cancellation | None = None,
) -> Iterator[bytes]:
    """Streams a plan's result as the members of the JSON object `data`, without its braces.

    Raises:
        GraphQLFailure: as soon as it is known, which may be after some pieces.
    """
    if not plan.statements:
        yield b",".join(
            f'"{one.key}":'.encode() + one.json
            for one in plan.roots
            if isinstance(one, ConstantResult)
        )
        return
    with reading.transaction(plan, session, cancellation) as transaction:
        for number, root in enumerate(plan.roots):
            key = f'{"," if number else ""}"{root.key}":'.encode()
            if isinstance(root, ConstantResult):
                yield key + root.json
            elif root.result.form == "list":
                yield key + b"["
                try:
                    # The statement must be closed before the transaction's connection is.
                    with closing(_root_batches(reading, transaction, root)) as batches:
                        yield from _list_json(batches, root.result)
                except GraphQLFailure:
                    # The list is closed, so that the error can follow it.
                    yield b"]"
                    raise
                yield b"]"
            else:
                batches = [b for b in _root_batches(reading, transaction, root) if b.num_rows]
                _check_present(root.result, batches)
                if root.result.form == "count":
                    yield key + msgspec.json.encode(batches[0].column(0)[0].as_py())
                    continue
                fields = root.result.fields
                yield key + (object_text(batches[0], fields) if batches else b"null")


def _list_json(batches: Iterator[pa.RecordBatch], root: RootResult) -> Iterator[bytes]:
    separator = b""
    for batch in batches:
        if batch.num_rows:
            yield separator + rows_text(batch, root.fields).to_pybytes()
            separator = b","


def _check_present(root: RootResult, batches: list[pa.RecordBatch]) -> None:
    if not batches and not root.nullable:
        raise BadDocument(
            f"{root.key} has no row, and the schema says it is never null.", path=(root.key,)
        )


def _as_column(reading: Reading, transaction: Transaction, root: RootStatement) -> pa.Array:
    """A root's whole result as one value."""
    result = root.result
    batches = list(_root_batches(reading, transaction, root))
    if result.form == "count":
        return batches[0].column(0)
    values = _as_structs(pa.Table.from_batches(batches, result.schema).combine_chunks(), result)
    if result.form == "list":
        offsets = pa.array([0, len(values)], pa.int32())
        return pa.ListArray.from_arrays(offsets, values, type=arrow_type(result.field.type))
    _check_present(result, [batch for batch in batches if batch.num_rows])
    return values if len(values) else pa.nulls(1, values.type)


def _as_structs(rows: pa.Table, root: RootResult) -> pa.Array:
    if not root.fields:
        return pa.array([{}] * rows.num_rows, arrow_type(ObjectType(root.fields)))
    columns = [
        column.chunk(0) if column.num_chunks else pa.array([], column.type)
        for column in rows.columns
    ]
    return pa.StructArray.from_arrays(columns, fields=list(root.schema))


def _root_batches(
    reading: Reading, transaction: Transaction, root: RootStatement
) -> Generator[pa.RecordBatch, None, None]:
    """A root's own rows, assembled."""
    if root.page is not None:
        yield _page(reading, transaction, root)
        return
    for _, batch in _assembled(reading, transaction, root):
        call = current.get()
        if call:
            call.count_rows(batch.num_rows)
        yield batch


def _page(reading: Reading, transaction: Transaction, root: RootStatement) -> pa.RecordBatch:
    page = root.page
    assert page is not None
    cursors: list[pa.Array] = [pa.array([], pa.string())]
    batches: list[pa.RecordBatch] = []
    for flat, batch in _assembled(reading, transaction, root):
        cursors.append(flat.column(page.cursor))
        batches.append(batch)
    rows = pa.Table.from_batches(batches, arrow_schema(root.rows.fields))
    total = None if page.total is None else _total(transaction, page.total, root.values)
    return page_of(page, rows, pa.chunked_array(cursors), total)


def _total(transaction: Transaction, sql: str, values: Sequence[str]) -> int:
    [batch] = [one for one in transaction.batches(sql, values) if one.num_rows]
    return batch.column(0)[0].as_py()


def _assembled(
    reading: Reading, transaction: Transaction, root: RootStatement
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Each batch as PostgreSQL returned it, and as the query selects it."""
    row, checked, whole = 0, False, False
    texts = [one.number for one in scalar_columns(root.columns) if one.from_document]
    batches = batches_of(transaction.batches(root.sql, root.values), reading.batch_rows)

    def ask(sql: str, values: Sequence[str]) -> pa.Table:
        with transaction.another() as other:
            return other.table(sql, values)

    try:
        for flat in batches:
            reading.limit.check(row + flat.num_rows, f"{root.key} has", (root.key,))
            if not checked and any(_looks_nested(flat.column(n)) for n in texts):
                checked = True
                _check_texts(transaction, root)
            assembled = assemble(flat, root.rows, root.columns, row, root.key, ask)
            row += flat.num_rows
            yield flat, assembled
        whole = True
    except BadValue as error:
        raise _located(transaction, root) or error from error
    finally:
        batches.close()
        reading.small.note(root.sql, row, whole=whole)


def _located(transaction: Transaction, root: RootStatement) -> GraphQLFailure | None:
    """The value that the statement failed on, searched for in another transaction: one of the
    client's values, or one in a row."""
    with transaction.another() as other:
        return bad_argument(other, root) or bad_value(other, root)


def _check_texts(transaction: Transaction, root: RootStatement) -> None:
    with transaction.another() as other:
        if (failure := no_text(other, root)) is not None:
            raise failure


def _looks_nested(column: pa.Array) -> bool:
    """Whether some text begins as a JSON object or array does; few texts do."""
    values = column.flatten() if isinstance(column, pa.ListArray) else column
    nested = pc.or_(pc.starts_with(values, "["), pc.starts_with(values, "{"))
    return bool(pc.any(nested).as_py())
