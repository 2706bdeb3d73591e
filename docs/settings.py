"""Writes `settings.md` from the definition of the settings: `python docs/settings.py`."""

import json
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from fraiseql_assets.settings import Settings, variable

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
# Settings

Environment variables, or lines of a file `.env` in the working directory; the environment wins.
What neither says is taken from the local stack that runs on `.fraiseql` in the working directory,
if one does (`fraiseql-assets dev` writes its addresses to `.fraiseql/endpoints.env`), else from the
defaults below.
A value that does not fit ends any command with the variable's name and what was expected.
`fraiseql-assets doctor` looks whether they fit the servers and each other.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The page as it must be."""
    rows = (
        f"| `{variable(name)}` | `{_default(field)}` | {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    return INTRODUCTION + "".join(rows)


def _default(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return default if isinstance(default, str) else json.dumps(default)


if __name__ == "__main__":
    PAGE.write_text(page())
