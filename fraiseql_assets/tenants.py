# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""The rows of one tenant in record batches that have the column `tenant_id`."""

import pyarrow as pa
import pyarrow.compute as pc

COLUMN = "tenant_id"


def rows_of(batch: pa.RecordBatch, tenant: str | None) -> pa.RecordBatch:
    """The batch's rows of a tenant, which may be none; all of them if `tenant` is None. A row
    without a tenant belongs to no tenant."""
    return batch if tenant is None else batch.filter(pc.equal(batch[COLUMN], tenant))
