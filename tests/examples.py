"""The examples of a Markdown page that tests run."""

import re
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<kept_from>not run: [^>]+) -->\s*)?"
    r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
RUNNABLE = {"sh", "python", "sql"}
OF_CLICKHOUSE = ("scaling.md",)
"""The pages whose SQL is ClickHouse's. That of others is PostgreSQL's."""


@dataclass(frozen=True)
class Example:
    """A block of a page that runs."""

    line: int
    language: str
    code: str


def examples(page: Path) -> list[Example]:
    text = page.read_text()
    return [
        Example(text.count("\n", 0, found.start("code")) + 1, found["language"], found["code"])
        for found in BLOCK.finditer(text)
        if found["language"] in RUNNABLE and not found["kept_from"]
    ]


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a language, those too that do not run."""
    return [
        found["code"] for found in BLOCK.finditer(page.read_text()) if found["language"] == language
    ]


def dialect_of(page: Path) -> str:
    """The dialect of a page's SQL, as sqlglot calls it."""
    return "clickhouse" if page.name in OF_CLICKHOUSE else "postgres"
