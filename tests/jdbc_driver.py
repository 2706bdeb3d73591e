"""Arrow's JDBC driver for Flight SQL, from Maven Central, checked by its digest."""

import os
from pathlib import Path

from local_stack.elasticsearch.jars import sha256
from local_stack.elasticsearch.maven import central

COORDINATE = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"
DIGEST = "3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c"


def driver_jar() -> Path:
    """The driver's jar, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fraiseql-assets"
    path = central(cache / "jdbc").create_dependency(COORDINATE).artifact.resolve()
    assert path is not None
    assert sha256(path) == DIGEST
    return path
