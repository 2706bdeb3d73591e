"""The search engines that the local stack can start, and their jars.

Neither is part of this project: the jars are downloaded to the user's machine, under their own
licences.
Elasticsearch has a choice of AGPL-3.0, SSPL-1.0 and the Elastic License 2.0; OpenSearch has
Apache-2.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Search(StrEnum):
    """The engine that serves the operational plane on this machine."""

    elasticsearch = "elasticsearch"
    opensearch = "opensearch"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin of the engine, in a folder of its own under `modules/`."""

    coordinate: str
    """Its Maven coordinate, without the version."""
    class_name: str
    module_name: str | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine at one version."""

    name: Search
    title: str
    version: str
    package: str
    """The Java package of its classes."""
    coordinates: tuple[str, ...]
    """Its Maven coordinates. Those without a version have the engine's version."""
    plugins: Mapping[str, Plugin]
    java_options: tuple[str, ...]
    """Options of Java. `{home}` stands for the engine's home."""
    on_module_path: bool
    """Whether its jars are Java modules."""

    @property
    def versioned(self) -> tuple[str, ...]:
        """The coordinates, all with their versions."""
        return tuple(self.at_version(coordinate) for coordinate in self.coordinates)

    def at_version(self, coordinate: str) -> str:
        return coordinate if coordinate.count(":") > 1 else f"{coordinate}:{self.version}"


ELASTICSEARCH = Engine(
    name=Search.elasticsearch,
    title="Elasticsearch",
    version="8.15.5",
    package="org.elasticsearch",
    coordinates=(
        "org.elasticsearch:elasticsearch",
        "org.elasticsearch:elasticsearch-native",
        "org.elasticsearch:elasticsearch-preallocate",
        "org.elasticsearch:elasticsearch-simdvec",
        "org.elasticsearch:elasticsearch-plugin-classloader",
    ),
    plugins={
        "transport-netty4": Plugin(
            "org.elasticsearch.plugin:transport-netty4",
            "org.elasticsearch.transport.netty4.Netty4Plugin",
            "org.elasticsearch.transport.netty4",
        )
    },
    java_options=(
        "--module-path={home}/lib",
        "--add-modules=org.elasticsearch.server,org.elasticsearch.preallocate,"
        "org.elasticsearch.nativeaccess,jdk.net",
        "--add-opens=java.base/java.io=org.elasticsearch.preallocate",
        # For the guard, which stands between two of its classes.
        "--add-opens=org.elasticsearch.server/org.elasticsearch.http=ALL-UNNAMED",
        # The library is not on Maven Central.
        "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",
    ),
    on_module_path=True,
)

OPENSEARCH = Engine(
    name=Search.opensearch,
    title="OpenSearch",
    version="3.9.0",
    package="org.opensearch",
    coordinates=(
        "org.opensearch:opensearch",
        "org.opensearch:opensearch-agent-bootstrap",
        "org.opensearch:opensearch-plugin-classloader",
        # Optional in its description, and nothing starts without it.
        "org.apache.logging.log4j:log4j-core:2.25.5",
    ),
    plugins={
        "transport-netty4": Plugin(
            "org.opensearch.plugin:transport-netty4-client",
            "org.opensearch.transport.Netty4ModulePlugin",
        )
    },
    java_options=(),
    on_module_path=False,
)

ENGINES = {engine.name: engine for engine in (ELASTICSEARCH, OPENSEARCH)}
