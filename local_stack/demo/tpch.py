"""Generates TPC-H's eight tables. The same scale gives the same rows in the same order."""

import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from local_stack.demo import DemoError

KEYS = {
    "region": ("r_regionkey",),
    "nation": ("n_nationkey",),
    "supplier": ("s_suppkey",),
    "customer": ("c_custkey",),
    "part": ("p_partkey",),
    "partsupp": ("ps_partkey", "ps_suppkey"),
    "orders": ("o_orderkey",),
    "lineitem": ("l_orderkey", "l_linenumber"),
}
"""The tables, each with its primary key."""


def make_tables(scale: float, names: Sequence[str] = tuple(KEYS)) -> dict[str, pa.Table]:
    """Generates tables, each sorted by its key.

    Raises:
        DemoError: the generator is not installed, or refuses the scale.
    """
    program = Path(sysconfig.get_path("scripts")) / "tpchgen-cli"
    with tempfile.TemporaryDirectory(prefix="fraiseql-tpch-") as folder:
        try:
            subprocess.run(
                [
                    *(program, "parquet", "--quiet", "--scale-factor", str(scale)),
                    *("--tables", ",".join(names), "--output-dir", folder),
                ],
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError as error:
            raise DemoError(
                f"{program} does not exist. Install fraiseql-assets with the extra `local`."
            ) from error
        except subprocess.CalledProcessError as error:
            raise DemoError(
                f"tpchgen-cli could not generate scale {scale}: {error.stderr.strip()}"
            ) from error
        return {name: _read(Path(folder) / f"{name}.parquet", KEYS[name]) for name in names}


def _read(path: Path, key: Sequence[str]) -> pa.Table:
    table = pq.read_table(path, memory_map=False)
    plain = [
        pa.field(field.name, pa.utf8() if field.type == pa.string_view() else field.type)
        for field in table.schema
    ]
    table = table.cast(pa.schema(plain)).combine_chunks()
    return table.sort_by([(name, "ascending") for name in key]).combine_chunks()
