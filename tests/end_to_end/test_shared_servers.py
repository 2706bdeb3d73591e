"""The workers of a session share one search engine, which ends with the session."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from shared_servers import borrowed, lending

NAME = "nats"
"""The server that starts most quickly."""


def is_open(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as connection:
        return connection.connect_ex((parts.hostname, parts.port)) == 0


def test_all_borrow_the_same_server_and_it_ends_with_the_session() -> None:
    with lending() as address, ThreadPoolExecutor(3) as workers:
        urls = set(workers.map(borrowed, [address] * 3, [NAME] * 3))
        assert len(urls) == 1
        [url] = urls
        assert is_open(url)
    assert not is_open(url)


def test_a_server_that_cannot_start_fails_where_it_was_asked_for_and_others_go_on() -> None:
    with lending() as address:
        with pytest.raises(AssertionError, match="no attribute 'nothing'"):
            borrowed(address, "nothing")
        assert is_open(borrowed(address, NAME))


def test_nobody_waits_for_a_session_that_has_ended() -> None:
    with lending() as address:
        borrowed(address, NAME)
    with pytest.raises(OSError, match="No such file"):
        borrowed(address, NAME)
