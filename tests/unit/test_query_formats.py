"""How `fraiseql-assets query` writes results that are no rows."""

import io
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from fraiseql_assets.cli import commands, flight_client
from fraiseql_assets.cli.commands.query import Format
from fraiseql_assets.cli.console import echo, escaped
from fraiseql_assets.cli.formats import FORM, NotWritten, write
from fraiseql_assets.cli.main import app

HOSTILE = "\x1b[2J\x07\x9b31m\u202e\x7f"


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


@pytest.mark.parametrize("format", [Format.json, Format.csv])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_control_characters_reach_no_terminal(
    monkeypatch: pytest.MonkeyPatch, format: Format, is_terminal: bool
) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr(stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stdout", stdout)
    schema = pa.schema([("name", pa.string())], {FORM: b"list"})
    batch = pa.RecordBatch.from_pydict({"name": ["naïve " + HOSTILE]}, schema=schema)
    write(format, None, schema, iter([batch]))
    written = stdout.buffer.getvalue().decode()
    assert ("\x9b" in written, "\x7f" in written, "\u202e" in written) == (not is_terminal,) * 3
    assert "naïve" in written
    assert written.endswith("\n")


def test_a_table_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(*_: object) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        batch = pa.RecordBatch.from_pydict({f"name{HOSTILE}": [f"naïve{HOSTILE}"]})
        return batch.schema, (one for one in [batch])

    monkeypatch.setattr(flight_client, "stream", stream)
    done = CliRunner().invoke(app, ["query", "{ names }"])
    assert done.exit_code == 0, done.output
    assert [c for c in done.stdout if not c.isprintable() and c != "\n"] == []
    assert "naïve" in done.stdout


def test_commands_print_by_what_cleans_text() -> None:
    """A text that a command prints itself would control a terminal."""
    own = re.compile(r"typer\.echo|[^.]print\(")
    files = {path.name: path.read_text() for path in Path(commands.__path__[0]).glob("*.py")}
    assert files
    assert [name for name, text in files.items() if own.search(text)] == []


def test_text_of_others_is_printed_without_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    echo("a\x9b")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    echo("a\x1b[31m\tb\nc\x9b")
    assert capsys.readouterr().out == "a\x9b\na�[31m\tb\nc�\n"
    assert escaped("a\x1b[bold]\nb") == "a�\\[bold]\nb"
