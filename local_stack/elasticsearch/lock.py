"""`python -m local_stack.elasticsearch.lock`: pins the engines' jars with their checksums."""

import tempfile
from pathlib import Path

from jgo.maven import Dependency, MavenContext

from local_stack.elasticsearch.engines import ENGINES, Engine
from local_stack.elasticsearch.jars import sha256
from local_stack.elasticsearch.maven import central

HEAD = """\
# The jars of {title} {version}, each with its SHA-256, by folder of its home.
# Made by `make lock` from engines.py; where they come from is a matter of the machine.
"""


def main() -> None:
    """Writes the lock of every engine beside this module."""
    for engine in ENGINES.values():
        with tempfile.TemporaryDirectory() as folder:
            text = lock_of(engine, central(Path(folder)))
        Path(__file__).with_name(f"{engine.name}.lock.toml").write_text(text)


def lock_of(engine: Engine, maven: MavenContext) -> str:
    """The lock of an engine as Maven Central has it."""
    base = _resolved(maven, *engine.versioned)
    folders = {"lib": base}
    for name, plugin in engine.plugins.items():
        every = _resolved(maven, *engine.versioned, engine.at_version(plugin.coordinate))
        folders[f"modules/{name}"] = {key: jar for key, jar in every.items() if key not in base}
    lines = [HEAD.format(title=engine.title, version=engine.version)]
    for folder, jars in folders.items():
        lines.append(f'["{folder}"]\n')
        for jar in jars.values():
            name = f"{jar.groupId}:{jar.artifactId}:{jar.version}"
            lines.append(f'"{name}" = "{sha256(jar.artifact.resolve())}"\n')
    return "".join(lines)


def _resolved(maven: MavenContext, *coordinates: str) -> dict[tuple[str, str], Dependency]:
    wanted = [maven.create_dependency(coordinate) for coordinate in coordinates]
    inputs, others = maven.resolver.resolve(wanted)
    # Jars for single platforms belong to HTTP/3, which nobody uses here.
    every = [jar for jar in (*inputs, *others) if not jar.classifier]
    return {
        (jar.groupId, jar.artifactId): jar
        for jar in sorted(every, key=lambda jar: (jar.groupId, jar.artifactId))
    }


if __name__ == "__main__":
    main()
