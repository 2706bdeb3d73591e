"""How `fraiseql-assets query` writes results that are no rows."""

import secrets
from pathlib import Path

import pyarrow as pa
import pytest

from fraiseql_assets.cli.commands.query import Format
from fraiseql_assets.cli.formats import FORM, NotWritten, write


def test_a_count_is_a_number_in_json(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("ordersCount", pa.int64(), nullable=False)], {FORM: b"count"})
    batch = pa.RecordBatch.from_pydict({"ordersCount": [12]}, schema=schema)
    write(Format.json, tmp_path / "count.json", schema, iter([batch]))
    assert (tmp_path / "count.json").read_text() == "12\n"


def test_a_symbolic_link_at_the_temporary_path_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / ".count.json.guessed.part").symlink_to(victim)
    schema = pa.schema([pa.field("ordersCount", pa.int64(), nullable=False)], {FORM: b"count"})
    batch = pa.RecordBatch.from_pydict({"ordersCount": [12]}, schema=schema)
    with pytest.raises(NotWritten):
        write(Format.json, tmp_path / "count.json", schema, iter([batch]))
    assert victim.read_text() == "kept"
    assert not (tmp_path / "count.json").exists()
