"""Statements for ClickHouse, one request each: its client first asks for all settings."""

from urllib.parse import urlsplit

import requests

SECONDS = 30


def ask_clickhouse(url: str, statement: str, *, seconds: float = SECONDS) -> str:
    """The answer to a statement, which runs in the database that the address names.

    Raises:
        requests.RequestException: the server refuses it, and says why, or does not answer in time.
    """
    address = urlsplit(url)
    answer = requests.post(
        address._replace(path="/").geturl(),
        params={"database": address.path.strip("/")},
        data=statement,
        timeout=seconds,
    )
    if not answer.ok:
        raise requests.HTTPError(f"{statement}: {answer.text}", response=answer)
    return answer.text
