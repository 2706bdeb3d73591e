"""What the event assets of both planes share: configuration, the run's work, and its report."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraiseql_assets.catalogue import Asset
from fraiseql_assets.defs.partitions import day_of
from fraiseql_assets.runs import WORKER_TAG, EventsConfig

# pyarrow and the clients are imported inside functions: at module level they cost every run a
# second before its first row.
if TYPE_CHECKING:
    import pyarrow as pa

    from fraiseql_assets.pipeline.ingest import Report
    from fraiseql_assets.planes import Plane

RECONNECT_SECONDS = 30

RETRY = dg.RetryPolicy(
    max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)


def materialise(
    context: dg.AssetExecutionContext, plane: "Plane", config: EventsConfig
) -> "Report":
    """Does a run's work: adds its range, or rebuilds its partition.

    Raises:
        dagster.Failure: retrying would not help; the message says what to do.
    """
    from fraiseql_assets.pipeline.ingest import IngestError, Job, default_batching, ingest_range
    from fraiseql_assets.pipeline.rebuild import rebuild_day
    from fraiseql_assets.ranges import SequenceRange
    from fraiseql_assets.settings import get_settings
    from fraiseql_assets.setup import other_plane
    from fraiseql_assets.stream.log import Log

    tag_worker(context)
    if config.only_if_broken:
        enforce_retention(context, plane)
    settings = get_settings()
    job = Job(context.run_id, config.attempt, default_batching(settings), settings.queue_batches)
    day = day_of(context.partition_key)
    name = f"fraiseql-assets {plane.name} run"
    with final(IngestError), Log(settings, name=name, reconnect_seconds=RECONNECT_SECONDS) as log:
        if config.range:
            report = ingest_range(plane, log, SequenceRange.parse(config.range), day, job)
        elif config.only_if_broken and is_whole(plane, log, context.partition_key):
            from fraiseql_assets.pipeline.compact import compact_day
            from fraiseql_assets.pipeline.ingest import Report

            compacted = compact_day(plane, log.stream, day, context.run_id)
            if compacted:
                context.log.info(f"{plane.name}: {compacted} entries of the ledger put into one")
            report = Report(already_committed=True)
        else:
            with closing(other_plane(plane, settings)) as other:
                report = rebuild_day(plane, other, log, day, job)
    context.log.info(said(report, plane.name))
    return report


def require_plane(name: str) -> None:
    """Returns when a plane is switched on.

    Raises:
        dagster.Failure: it is switched off, which no retry changes.
    """
    from fraiseql_assets.planes import PlaneOff
    from fraiseql_assets.settings import get_settings

    if not get_settings().has_plane(name):
        raise dg.Failure(description=str(PlaneOff(name)), allow_retries=False)


def enforce_retention(context: dg.AssetExecutionContext, plane: "Plane") -> None:
    """Drops what is past its retention: a part of the daily look back."""
    from datetime import UTC, datetime

    for line in plane.enforce_retention(datetime.now(UTC).date()):
        context.log.info(f"{plane.name} {line}")


def is_whole(plane: "Plane", log: Any, partition_key: str) -> bool:
    """Whether a partition needs no healing."""
    from fraiseql_assets.pipeline.verify import verify_day

    return verify_day(plane, log, day_of(partition_key)).whole


def tag_worker(context: dg.AssetExecutionContext) -> None:
    """Says which process works on the run, so that a run whose process is gone can be told."""
    context.instance.add_run_tags(context.run_id, {WORKER_TAG: worker_of(context.run_id)})


def worker_of(run_id: str) -> str:
    """What a run says of this process. A retry inherits the tags of the run before it, so that the
    run has to be named."""
    return f"{run_id}@{socket.gethostname()}:{os.getpid()}"


@contextmanager
def final(*errors: type[Exception]) -> Iterator[None]:
    """Turns errors that no retry mends into a failure that is not retried."""
    try:
        yield
    except errors as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def said(report: "Report", plane: str) -> str:
    """One sentence on what a run did."""
    if report.already_committed:
        return f"{plane}: nothing to do, {report.range or 'the partition'} is there and whole"
    if report.range is None:
        return f"{plane}: the log holds nothing of this day"
    return (
        f"{plane}: {report.rows:,} rows from {report.messages:,} messages ({report.range}) in "
        f"{report.seconds:.2f} s; {report.duplicates} duplicates dropped, "
        f"{report.dead_letters} dead letters"
    )


def metadata_of(report: "Report", asset: Asset) -> dict[str, dg.MetadataValue]:
    """What a person wants to see of a materialisation in the UI."""
    from datetime import UTC, datetime

    metadata: dict[str, dg.MetadataValue] = {
        "dagster/table_name": dg.MetadataValue.text(asset.table),
        "source": dg.MetadataValue.text(report.source),
        "rows": dg.MetadataValue.int(report.rows),
        "messages": dg.MetadataValue.int(report.messages),
        "dead letters": dg.MetadataValue.int(report.dead_letters),
        "duplicates dropped": dg.MetadataValue.int(report.duplicates),
        "blocks written": dg.MetadataValue.int(report.blocks),
        "seconds": dg.MetadataValue.float(round(report.seconds, 3)),
    }
    if report.range:
        metadata["first sequence"] = dg.MetadataValue.int(report.range.first)
        metadata["last sequence"] = dg.MetadataValue.int(report.range.last)
    if report.missing:
        metadata["missing from the log"] = dg.MetadataValue.int(report.missing)
    if report.seconds and report.rows:
        metadata["rows per second"] = dg.MetadataValue.int(round(report.rows / report.seconds))
    if report.newest:
        lag = (datetime.now(UTC) - report.newest).total_seconds()
        metadata["lag of the newest row, seconds"] = dg.MetadataValue.float(round(lag, 3))
    if report.preview is not None:
        metadata["preview"] = dg.MetadataValue.md(as_markdown(report.preview))
    return metadata


PREVIEW_COLUMNS = ("timestamp", "entity_type", "event_type", "entity_id", "tenant_id", "data")


def as_markdown(table: "pa.Table", *, widest: int = 60) -> str:
    """The last few events as a Markdown table."""
    columns = [name for name in PREVIEW_COLUMNS if name in table.column_names]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in table.select(columns).to_pylist():
        cells = ("" if row[name] is None else _cell(str(row[name]), widest) for name in columns)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(text: str, widest: int) -> str:
    short = text if len(text) <= widest else text[: widest - 1] + "…"
    return short.replace("|", "\\|").replace("\n", " ").replace("`", "'")


def column_schema(schema: "pa.Schema", descriptions: Mapping[str, str]) -> dg.TableSchema:
    """An Arrow schema as Dagster shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=descriptions.get(field.name),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )
