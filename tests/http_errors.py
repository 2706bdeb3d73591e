"""Errors of the service's HTTP side, as clients read them."""

import httpx


def message_of(answer: httpx.Response) -> str:
    """The message of a response, which must be an error in the JSON that all errors have."""
    assert answer.status_code >= 400, answer
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    [error] = answer.json()["errors"]
    return error["message"]
