"""Texts of times in statements for ClickHouse."""

import pyarrow as pa
import pytest

from flight_service.sql.grammar import parse, written
from flight_service.sql.timestamps import rewrite_timestamps

COLUMNS = pa.schema([("name", pa.string()), ("at", pa.timestamp("us", "UTC"))])


def rewritten(condition: str) -> str:
    tree = parse(f"SELECT 1 FROM events WHERE {condition}", "clickhouse")
    rewrite_timestamps(tree, COLUMNS)
    return written(tree, "clickhouse").partition(" WHERE ")[2].replace('"', "")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00", "2026-01-31 12:00:00"),
        ("2026-01-31T13:00:00.25+01:00", "2026-01-31 12:00:00.250000"),
        ("2026-01-31 13:00:00+01:00", "2026-01-31 12:00:00"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31 12:00:00", "2026-01-31 12:00:00"),
        ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123456789Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_a_time_with_t_or_an_offset_becomes_plain(text: str, plain: str) -> None:
    assert rewritten(f"at >= '{text}'") == f"at >= '{plain}'"


@pytest.mark.parametrize(
    ("condition", "plain"),
    [
        ("'{0}' < events.at", "'{1}' < events.at"),
        ("at BETWEEN '{0}' AND '{0}'", "at BETWEEN '{1}' AND '{1}'"),
        ("at IN ('{0}', '{0}')", "at IN ('{1}', '{1}')"),
        ("NOT (at) <> ('{0}')", "NOT (at) <> ('{1}')"),
        ("name = '{0}'", "name = '{0}'"),
        ("at > toDateTime64('{0}', 6)", "at > toDateTime64('{0}', 6)"),
    ],
)
def test_only_comparisons_with_timestamps_are_rewritten(condition: str, plain: str) -> None:
    texts = "2026-01-31T12:00:00Z", "2026-01-31 12:00:00"
    assert rewritten(condition.format(*texts)) == plain.format(*texts)
