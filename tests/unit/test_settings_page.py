"""The page of the settings, held against their definition."""

import runpy
from pathlib import Path

from fraiseql_assets.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_page_is_up_to_date() -> None:
    page = runpy.run_path(str(DOCS / "settings.py"))["page"]()
    assert (DOCS / "settings.md").read_text() == page, (
        "docs/settings.md is not what fraiseql_assets/settings.py says. "
        "Write it anew with `.venv/bin/python docs/settings.py`."
    )


def test_every_setting_has_a_description() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []
