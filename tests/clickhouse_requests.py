"""Statements for ClickHouse, one request each: its client first asks for all settings."""

from urllib.parse import urlsplit

import requests

SECONDS = 30


def ask_clickhouse(url: str, statement: str) -> str:
    """The answer to a statement, which runs in the database that the address names."""
    address = urlsplit(url)
    answer = requests.post(
        address._replace(path="/").geturl(),
        params={"database": address.path.strip("/")},
        data=statement,
        timeout=SECONDS,
    )
    answer.raise_for_status()
    return answer.text
