"""The pages of the clients have the same shape."""

from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "clients"
SECTIONS = [
    "Connect",
    "Authenticate",
    "Query",
    "Read an asset in parallel",
    "Follow the log",
    "Search",
    "Write",
    "Errors",
]


@pytest.mark.parametrize("client", sorted(path.parent.name for path in CLIENTS.glob("*/README.md")))
def test_every_page_has_the_common_sections(client: str) -> None:
    lines = (CLIENTS / client / "README.md").read_text().splitlines()
    found = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert found[: len(SECTIONS)] == SECTIONS
