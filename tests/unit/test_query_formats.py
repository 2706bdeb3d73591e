"""How `fraiseql-assets query` writes results that are no rows."""

from pathlib import Path

import pyarrow as pa

from fraiseql_assets.cli.commands.query import Format
from fraiseql_assets.cli.formats import FORM, write


def test_json_of_a_count_is_the_number(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("ordersCount", pa.int64(), nullable=False)], {FORM: b"count"})
    batch = pa.RecordBatch.from_pydict({"ordersCount": [12]}, schema=schema)
    write(Format.json, tmp_path / "count.json", schema, iter([batch]))
    assert (tmp_path / "count.json").read_text() == "12\n"
