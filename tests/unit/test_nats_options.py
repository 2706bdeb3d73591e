"""The server list and files that both clients of the log connect with."""

import base64
from pathlib import Path

import nkeys
import pytest

from fraiseql_assets.addresses import without_credentials
from fraiseql_assets.stream.options import NatsOptionError, NatsOptions, NatsServer

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC_KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
CREDENTIALS = f"""\
-----BEGIN NATS USER JWT-----
eyJ0.eyJqd.sig
------END NATS USER JWT------

************************* IMPORTANT *************************
-----BEGIN USER NKEY SEED-----
{SEED}
------END USER NKEY SEED------
"""


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("nats://h", NatsServer("h", 4222, tls=False)),
        ("tls://h:1", NatsServer("h", 1, tls=True)),
        ("nats://[::1]:5/", NatsServer("::1", 5, tls=False)),
    ],
)
def test_an_address_is_scheme_host_and_port(url: str, server: NatsServer) -> None:
    assert NatsOptions.read(url).servers == (server,)


def test_several_servers_are_separated_by_commas_and_share_one_user() -> None:
    access = NatsOptions.read("nats://me:p%40ss@a:1, nats://b:2")
    assert str(access) == "nats://a:1,nats://b:2"
    assert access.authentication(nonce="") == {"user": "me", "pass": "p@ss"}


def test_a_user_without_a_password_is_a_token() -> None:
    assert NatsOptions.read("nats://s%20cret@a").authentication(nonce="") == {
        "auth_token": "s cret"
    }


def test_two_users_are_refused() -> None:
    with pytest.raises(
        NatsOptionError, match="FRAISEQL_NATS_URL: the servers of one cluster take one"
    ):
        NatsOptions.read("nats://a:1@h,nats://b:1@h")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "does not begin with nats://"),
        ("127.0.0.1:4222", "does not begin with nats://"),
        ("http://h:4222", "does not begin with nats://"),
        ("nats://", "names no host"),
        ("nats://h:port", "Port could not be cast"),
        ("nats://h:70000", "Port out of range"),
        ("nats://h:1/stream", "nothing may follow the port"),
        ("nats://h,", "does not begin with nats://"),
    ],
)
def test_a_bad_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(NatsOptionError, match=why) as refused:
        NatsOptions.read(url)
    assert str(refused.value).startswith("FRAISEQL_NATS_URL: ")


def test_messages_show_no_credentials() -> None:
    url = "nats://me:secret@h:1,nats://token@i"
    assert without_credentials(url) == "nats://h:1,nats://i"
    with pytest.raises(NatsOptionError) as refused:
        NatsOptions.read("http://me:secret@h:1")
    assert "secret" not in str(refused.value)
    assert "secret" not in repr(NatsOptions.read(url.split(",", maxsplit=1)[0]))


def verified(signature: str, nonce: str) -> bool:
    pair = nkeys.from_seed(bytearray(SEED.encode()))
    return pair.verify(nonce.encode(), base64.b64decode(signature))


def test_an_nkey_signs_the_nonce(tmp_path: Path) -> None:
    (path := tmp_path / "seed").write_text(SEED + "\n")
    said = NatsOptions.read("nats://h", nkey_file=path).authentication(nonce="n-1")
    assert said.keys() == {"nkey", "sig"}
    assert said["nkey"] == PUBLIC_KEY
    assert verified(said["sig"], "n-1")


def test_a_credentials_file_gives_its_jwt_and_signs_the_nonce(tmp_path: Path) -> None:
    (path := tmp_path / "user.creds").write_text(CREDENTIALS)
    said = NatsOptions.read("nats://h", credentials_file=path).authentication(nonce="n-2")
    assert said.keys() == {"jwt", "sig"}
    assert said["jwt"] == "eyJ0.eyJqd.sig"
    assert verified(said["sig"], "n-2")


@pytest.mark.parametrize(
    ("setting", "content", "message"),
    [
        ("ca_file", "no certificate", "FRAISEQL_NATS_CA_FILE: .* holds no certificates"),
        ("ca_file", None, "FRAISEQL_NATS_CA_FILE: .*No such file"),
        ("nkey_file", "SUABC", "FRAISEQL_NATS_NKEY_FILE: the file holds no nkey seed"),
        ("nkey_file", None, "FRAISEQL_NATS_NKEY_FILE: .*No such file"),
        ("credentials_file", SEED, "FRAISEQL_NATS_CREDENTIALS_FILE: .* holds no user JWT"),
        ("credentials_file", None, "FRAISEQL_NATS_CREDENTIALS_FILE: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, setting: str, content: str | None, message: str
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NatsOptionError, match=message):
        NatsOptions.read("nats://h", **{setting: path})


def test_a_credentials_file_and_an_nkey_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(NatsOptionError, match="set only one of them"):
        NatsOptions.read("nats://h", nkey_file=tmp_path / "a", credentials_file=tmp_path / "b")
