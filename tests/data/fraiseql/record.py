"""Records what a real FraiseQL answers to each query of `queries.json`.

    python record.py --python PYTHON --cli fraiseql-cli --server fraiseql-server --database URL

`PYTHON` has the package `fraiseql`; the commands are the crates `fraiseql-cli` and
`fraiseql-server`. The database must be empty: `books.sql` is loaded into it.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import requests

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1:18999"
SECRET = "a-secret-for-this-recording-alone"
AUDIENCE = "books"
CONFIGURATION = f"""
[auth_hs256]
secret_env = "RECORDING_SECRET"
audience = "{AUDIENCE}"
"""


def main() -> None:
    """Writes the compiled schemas and `answers.json`."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", required=True)
    parser.add_argument("--cli", default="fraiseql-cli")
    parser.add_argument("--server", default="fraiseql-server")
    parser.add_argument("--database", required=True)
    given = parser.parse_args()

    subprocess.run(["psql", "--quiet", given.database, "--file", HERE / "books.sql"], check=True)
    compiled = HERE / "schema.compiled.json"
    live = ["--database", given.database]
    compile_schema(given.python, given.cli, HERE / "authoring.py", compiled, live)
    compile_schema(
        given.python, given.cli, HERE / "constructs.py", HERE / "constructs.compiled.json", []
    )
    cases = json.loads((HERE / "queries.json").read_text())
    with running(given.server, compiled, given.database):
        answers = {name: ask(case) for name, case in cases.items()}
    write(HERE / "answers.json", answers)


def compile_schema(
    python: str, cli: str, authoring: Path, compiled: Path, options: list[str]
) -> None:
    """Compiles a schema as FraiseQL's users do."""
    with tempfile.TemporaryDirectory() as folder:
        authored = Path(folder) / "schema.json"
        subprocess.run([python, authoring, authored], check=True)
        inputs = [HERE / "fraiseql.toml", "--types", authored]
        subprocess.run([cli, "compile", *inputs, "-o", compiled, "--quiet", *options], check=True)
    write(compiled, json.loads(compiled.read_text()))


def write(path: Path, value: Any) -> None:
    """Writes JSON that reads well in a comparison of two recordings."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def running(server: str, schema: Path, database: str) -> Iterator[None]:
    """A FraiseQL server for the duration of the block."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "fraiseql.toml"
        configuration.write_text(CONFIGURATION)
        process = subprocess.Popen(
            [
                *(server, "--config", configuration, "--bind-addr", ADDRESS),
                *("--database-url", database, "--schema-path", schema),
                *("--introspection-enabled", "--rate-limiting-enabled=false"),
            ],
            env={**os.environ, "FRAISEQL_ENV": "development", "RECORDING_SECRET": SECRET},
            stdout=subprocess.DEVNULL,
        )
        try:
            for _ in range(100):
                time.sleep(0.1)
                try:
                    requests.get(f"http://{ADDRESS}/health", timeout=1)
                    break
                except requests.ConnectionError:
                    continue
            yield
        finally:
            process.terminate()
            process.wait()


def ask(case: dict[str, Any]) -> dict[str, Any]:
    """The data of the answer, or the messages of its errors."""
    now = int(time.time())
    claims = {"sub": "nobody", "aud": AUDIENCE, "iat": now, "exp": now + 600}
    token = jwt.encode(claims | case.get("claims", {}), SECRET, "HS256")
    answer = requests.post(
        f"http://{ADDRESS}/graphql",
        json={"query": case["query"], "variables": case.get("variables")},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ).json()
    if answer.get("errors"):
        return {"errors": [one["message"] for one in answer["errors"]]}
    return {"data": answer["data"]}


if __name__ == "__main__":
    main()
