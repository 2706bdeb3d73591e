"""What `fraiseql-assets dead-letters` prints of texts that a producer chose."""

import pytest
from typer.testing import CliRunner

from fraiseql_assets.cli.console import out
from fraiseql_assets.cli.main import app
from fraiseql_assets.events.messages import Messages
from fraiseql_assets.stream import dead_letter_reader
from fraiseql_assets.stream.dead_letter_reader import DeadLetter

ESCAPES = "\x1b[2J\x07\x9b31m\u202e[bold]x[/bold]"


@pytest.fixture(autouse=True)
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead-letter message, every text of which would control a terminal."""
    found = DeadLetter(
        number=7,
        stage=ESCAPES,
        stream="events",
        sequence=3,
        row=0,
        subject=ESCAPES,
        reason=f"line\n{ESCAPES}",
        time=0,
        stored=0,
        headers={},
        payload=b"",
        in_log=True,
    )
    headers = f"NATS/1.0\r\nX-{ESCAPES}: {ESCAPES}\r\n\r\n".encode()
    payload = f"two\nlines\t{ESCAPES}".encode()
    message = Messages([3], [0], [ESCAPES], [headers], [payload])
    # A console reads the variable COLUMNS only when it is created.
    monkeypatch.setattr(out, "width", 300)
    monkeypatch.setattr(dead_letter_reader, "read_dead_letters", lambda *_: [found])
    monkeypatch.setattr(dead_letter_reader, "original_message", lambda *_: message)


@pytest.mark.parametrize("arguments", [["show", "7"], ["list"]])
def test_control_characters_of_a_message_are_not_printed(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["dead-letters", *arguments])
    assert done.exit_code == 0, done.output
    assert [c for c in done.output if not c.isprintable() and c not in "\n\t"] == []
    assert "[bold]x[/bold]" in done.output


def test_a_payload_keeps_its_line_breaks() -> None:
    done = CliRunner().invoke(app, ["dead-letters", "show", "7"])
    assert "two\nlines" in done.output
    assert "line�" in done.output
