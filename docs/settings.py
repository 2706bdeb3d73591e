"""Generates `settings.md` from the definition of the settings: `python docs/settings.py`."""

import json
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from fraiseql_assets.settings import Settings, variable

PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
# Settings

Configure every command and service with environment variables. The value of a setting is the first
of these that exists:

1. the environment variable,
2. a line of the file `.env` in the working directory,
3. the file of that name in the folder that `FRAISEQL_SECRETS_DIR` names, such as `/run/secrets`,
4. the address of a local stack that runs on `.fraiseql` in the working directory
   (`fraiseql-assets dev` writes its addresses to `.fraiseql/endpoints.env`),
5. the default in this table.

If a value is invalid, every command stops and prints the variable's name and what is expected.
`fraiseql-assets doctor` checks whether the settings fit the servers and each other.

| variable | default | meaning |
|---|---|---|
"""


def page() -> str:
    """The text of the page."""
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
