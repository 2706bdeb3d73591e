"""Addresses of servers, as messages show them."""

import pytest

from fraiseql_assets.addresses import host_of, without_credentials
from fraiseql_assets.cli.doctor import _dagster, _Wrong
from fraiseql_assets.cli.status import _active_runs
from fraiseql_assets.settings import Settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("https://ann:s3cret@dagster.example/base", "https://dagster.example/base"),
        ("https://ann:s3@cret@dagster.example:1/a@b", "https://dagster.example:1/a@b"),
        ("http://token@[::1]:3000/", "http://[::1]:3000/"),
        ("ann:s3cret@host", "ann:s3cret@host"),
        ("nats://me:s3@cret,4@h:1,nats://token@i", "nats://h:1,nats://i"),
        ("//me:secret@h", "//h"),
    ],
)
def test_a_url_is_shown_without_its_user_and_password(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_messages_about_dagster_show_no_password() -> None:
    settings = Settings(dagster_url="http://ann:s3cret@127.0.0.1:1", probe_timeout_seconds=1)
    _, problem = _active_runs(settings)
    with pytest.raises(_Wrong) as caught:
        _dagster(settings)
    for message in (str(problem), str(caught.value)):
        assert message.startswith("Dagster at http://127.0.0.1:1 does not answer")


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("127.0.0.1:3000", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        *((one, None) for one in (None, "", "a@localhost", "localhost#x", "localhost/x")),
        *((one, None) for one in ("evil.example#@localhost", "localhost, evil.example", "[::1")),
        *((one, None) for one in ("localhost?x", "localhost\\x", " localhost", "localhost:x")),
    ],
)
def test_a_host_header_has_a_host_and_a_port_only(header: str | None, host: str | None) -> None:
    assert host_of(header) == host
