"""The log's files, copied while its server is stopped, are the log."""

import asyncio
import shutil
from pathlib import Path

from log_server import nats_server, payloads, read, settings_for, store_payloads
from pydantic import SecretStr

from fraiseql_assets.stream.log import Log
from fraiseql_assets.stream.setup import setup_streams

MESSAGES = [b"%d" % number for number in range(50)]


def test_a_restored_log_has_the_same_messages_at_the_same_positions(tmp_path: Path) -> None:
    kept, restored = tmp_path / "kept", tmp_path / "restored"
    kept.mkdir()
    with nats_server(kept) as server:
        settings = settings_for(server.url)
        asyncio.run(setup_streams(settings))
        store_payloads(settings, MESSAGES)
        with Log(settings, name="tests") as log:
            before = log.position_from(len(MESSAGES))
    shutil.copytree(kept / "jetstream", restored / "jetstream")
    shutil.rmtree(kept)
    with nats_server(restored) as server:
        again = settings.model_copy(update={"nats_url": SecretStr(server.url)})
        assert all("as it should be" in line for line in asyncio.run(setup_streams(again)))
        assert payloads(read(again, 1, len(MESSAGES))) == MESSAGES
        with Log(again, name="tests") as log:
            assert log.position_from(len(MESSAGES)) == before
        store_payloads(again, [b"new"])
        assert payloads(read(again, len(MESSAGES) + 1, len(MESSAGES) + 1)) == [b"new"]
