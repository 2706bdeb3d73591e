"""The metadata of a materialisation in Dagster's UI."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from fraiseql_assets.catalogue import AGGREGATES, Asset

if TYPE_CHECKING:
    import pyarrow as pa

    from fraiseql_assets.pipeline.job import Report
    from fraiseql_assets.ranges import SequenceRange

PREVIEW_COLUMNS = (
    *("timestamp", "entity_type", "event_type", "entity_id"),
    *("operation_type", "operation_name", "status", "error_messages", "duration_ms"),
    *("tenant_id", "data"),
)
"""The columns of all datasets that a preview shows."""
SHOWN_RANGES = 20


def sentence_of(report: "Report", plane: str) -> str:
    """One sentence on what a run did."""
    if report.already_committed:
        return f"{plane}: nothing to do, {report.range or 'the partition'} is complete"
    if report.range is None:
        return f"{plane}: the log holds nothing of this day"
    return (
        f"{plane}: {report.rows:,} rows from {report.messages:,} messages ({report.range}) in "
        f"{report.seconds:.2f} s; {report.duplicates} duplicates dropped, "
        f"{report.dead_letters} dead-letter messages"
    )


def metadata_of(
    report: "Report", asset: Asset, *, day_rows: int | None, ranges: Sequence["SequenceRange"] = ()
) -> dict[str, dg.MetadataValue]:
    """The metadata of a materialisation; `day_rows` is the current row count of the partition."""
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/table_name": dg.MetadataValue.text(asset.table),
        "source": dg.MetadataValue.text(report.source),
        "rows written" if asset not in AGGREGATES else "events counted": dg.MetadataValue.int(
            report.rows
        ),
        "messages": dg.MetadataValue.int(report.messages),
        "dead letters": dg.MetadataValue.int(report.dead_letters),
        "duplicates dropped": dg.MetadataValue.int(report.duplicates),
        "blocks written": dg.MetadataValue.int(report.blocks),
        "seconds": dg.MetadataValue.float(round(report.seconds, 3)),
    }
    if day_rows is not None:
        metadata["rows"] = dg.MetadataValue.int(day_rows)
        metadata["dagster/partition_row_count"] = dg.MetadataValue.int(day_rows)
    if report.range:
        metadata["first sequence"] = dg.MetadataValue.int(report.range.first)
        metadata["last sequence"] = dg.MetadataValue.int(report.range.last)
    if ranges:
        metadata["ranges"] = dg.MetadataValue.text(listed(ranges, SHOWN_RANGES))
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


def listed(ranges: Sequence[object], most: int) -> str:
    """Ranges in one line, the first `most` of them."""
    shown = ", ".join(map(str, ranges[:most])) or "none"
    return shown if len(ranges) <= most else f"{shown} and {len(ranges) - most} more"


def as_markdown(table: "pa.Table", *, widest: int = 60) -> str:
    """The last few rows as a Markdown table."""
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
    """An Arrow schema as a Dagster table schema."""
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
