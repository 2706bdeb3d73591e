"""The reference, held against the code that it describes."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_page_is_up_to_date() -> None:
    page = runpy.run_path(str(DOCS / "reference.py"))["page"]()
    assert (DOCS / "reference.md").read_text() == page, (
        "docs/reference.md is not what the code says. "
        "Write it anew with `.venv/bin/python docs/reference.py`."
    )
