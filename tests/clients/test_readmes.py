"""The README of each program, as a reader uses it: its commands in a shell that starts in the
repository's folder, and its code as one program."""

import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.harness import (
    CLIENTS,
    SCRIPTS,
    SECONDS_TO_BUILD,
    Served,
    output,
    run,
    tool,
)
from tests.clients.programs import NODE, NPM, Command
from tests.examples import BLOCK
from tests.jdbc_driver import driver_jar

ROOT = CLIENTS.parent
POSITION = 1042
"""A sequence of the log that the pages name."""
PROGRAM = """\
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {{
{code}
Ok(())
}}
"""
JAVA = """\
import java.sql.DriverManager;

public class Page {{
    public static void main(String[] arguments) throws Exception {{
        String url = arguments[0];
{code}
        System.exit(0);
    }}
}}
"""


def code_of(page: Path, language: str) -> str:
    """The blocks of a language, in the order of the page."""
    blocks = [
        found["code"]
        for found in BLOCK.finditer(page.read_text())
        if found["language"] == language and not found["kept_from"]
    ]
    assert blocks, f"{page} has nothing in {language}"
    return "".join(blocks)


@contextmanager
def published(served: Served) -> Iterator[None]:
    """New events all the time, for what follows the log, and a log that has the pages' position."""
    served.publish(max(0, POSITION - served.head()) + 10)
    ended = threading.Event()

    def publish() -> None:
        while not ended.wait(0.5):
            served.publish(10)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        yield
    finally:
        ended.set()
        publisher.join()


@pytest.fixture
def path(tmp_path: Path, javascript: Command) -> str:
    """Where a shell finds the tool chains. Maven's download is the jar whose digest is known."""
    scripts = {
        "npm": f'exec {shlex.join([str(NODE), str(NPM)])} "$@"',
        "mvn": f"cp {shlex.quote(str(driver_jar()))} .",
    }
    for name, line in scripts.items():
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
    java = Path(tool("java")).parent
    found = (tmp_path, SCRIPTS, NODE.parent, java, os.environ.get("PATH", os.defpath))
    return os.pathsep.join(map(str, found))


@pytest.mark.parametrize("client", ["go", "javascript", "jdbc", "rust"])
def test_the_commands_of_the_readme_run(client: str, path: str, served: Served) -> None:
    environment = {**served.environment, "PATH": path, "CGO_ENABLED": "0"}
    commands = code_of(CLIENTS / client / "README.md", "sh")
    with published(served):
        shell = ["bash", "-euo", "pipefail", "-c", commands]
        output(run(shell, environment, cwd=ROOT, seconds=SECONDS_TO_BUILD))


def test_the_code_of_the_rust_readme_runs_in_a_crate_of_its_own(
    rust_examples: Path, served: Served, tmp_path: Path
) -> None:
    page = CLIENTS / "rust" / "README.md"
    dependencies = code_of(page, "toml").replace("clients/rust", str(CLIENTS / "rust"))
    package = '[package]\nname = "page"\nversion = "1.0.0"\nedition = "2024"\n'
    profile = "[profile.dev]\ndebug = false\nincremental = false\n"
    (tmp_path / "Cargo.toml").write_text(f"{package}\n{dependencies}\n{profile}")
    # What is compiled already, in the same versions.
    shutil.copy(CLIENTS / "rust" / "Cargo.lock", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.rs").write_text(PROGRAM.format(code=code_of(page, "rust")))
    build = [tool("cargo"), "build", "--quiet"]
    target = {"CARGO_TARGET_DIR": str(CLIENTS / "rust" / "target")}
    output(run(build, target, cwd=tmp_path, seconds=SECONDS_TO_BUILD))
    with published(served):
        program = CLIENTS / "rust" / "target" / "debug" / "page"
        printed = output(run([program], served.environment))
    assert re.search(r"^1 events up to sequence \d+$", printed, re.MULTILINE), printed


def test_the_code_of_the_javascript_readme_runs(javascript: Command, served: Served) -> None:
    code = code_of(CLIENTS / "javascript" / "README.md", "js")
    code = code.replace("http://127.0.0.1:8080", served.unguarded.settings.http_url)
    program = [NODE, "--input-type=module", "--eval", code]
    output(run(program, {}, cwd=CLIENTS / "javascript"))


def test_the_java_of_the_page_on_flight_sql_runs(
    jdbc: Command, served: Served, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "flight-sql.md"
    [url] = re.findall(r"^(jdbc:\S+)$", page.read_text(), re.MULTILINE)
    address = served.unguarded.settings.flight_url.partition("://")[2]
    program = tmp_path / "Page.java"
    program.write_text(JAVA.format(code=code_of(page, "java")))
    command = [*jdbc[:-1], program, url.replace("127.0.0.1:50051", address)]
    assert re.search(r"^Order \d+$", output(run(command, {})), re.MULTILINE)


def test_the_python_package_is_installed_as_the_readme_says(tmp_path: Path) -> None:
    python = tmp_path / "venv"
    output(run([tool("python"), "-m", "venv", python], {}, seconds=SECONDS_TO_BUILD))
    environment = {"PATH": f"{python / 'bin'}:{os.environ['PATH']}"}
    install = code_of(CLIENTS / "python" / "README.md", "sh")
    shell = ["bash", "-euo", "pipefail", "-c", install]
    output(run(shell, environment, cwd=ROOT, seconds=SECONDS_TO_BUILD))
    assert list(python.glob("lib/python*/site-packages/fraiseql_client/client.py"))
