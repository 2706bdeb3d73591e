"""Runs statements on ClickHouse's engine, in a process of its own, with files of configuration.

Its arguments are a folder and the paths of the files. It reads statements, with semicolons between
them, from its input, and prints the result of each as tab-separated values.
"""

import re
import shutil
import sys
from pathlib import Path

USERS = """\
<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <access_management>1</access_management>
            <named_collection_control>1</named_collection_control>
        </default>
    </users>
</clickhouse>
"""


def main(folder: Path, *files: Path) -> None:
    from chdb import ChdbError
    from chdb.session import Session

    (folder / "users.xml").write_text(USERS)
    own = f"<users_config>{folder / 'users.xml'}</users_config>"
    parts = [re.sub("</?clickhouse>", "", file.read_text()) for file in files]
    config = f"<clickhouse>{own}{''.join(parts)}</clickhouse>"
    (folder / "config.xml").write_text(config)
    session = Session(f"{folder / 'store'}?config-file={folder / 'config.xml'}")
    try:
        for statement in sys.stdin.read().split(";\n"):
            if statement.strip():
                sys.stdout.write(str(session.query(statement, "TSV")))
    except ChdbError as error:
        raise SystemExit(str(error)) from None
    finally:
        session.close()
        shutil.rmtree(folder / "store", ignore_errors=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
