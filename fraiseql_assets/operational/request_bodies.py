# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Documents of GraphQL requests: the columns under their own names, and the text to search."""

from typing import Any

import msgspec
import pyarrow as pa

from fraiseql_assets.operational.bodies import document_ids
from fraiseql_assets.operational.json_text import objects, parts_of_names, rfc3339, words

_encode = msgspec.json.Encoder().encode


def request_documents(
    requests: pa.RecordBatch, index: str, /, *, with_objects: bool = True
) -> pa.StringArray:
    """For each request its action line and its document, each with a newline.

    There are thousands of times fewer requests than events, so they are encoded row by row. The
    text begins with the errors, which highlighting shows first.
    """
    ids = document_ids(requests["request_id"]).to_pylist()
    texts = words(requests["variables"]).to_pylist()
    parsed = objects(requests["variables"]).to_pylist() if with_objects else [None] * len(ids)
    times = {name: rfc3339(requests[name]).to_pylist() for name in ("timestamp", "stream_time")}
    lines: list[str] = []
    for number, row in enumerate(requests.to_pylist()):
        for name, written in times.items():
            row[name] = written[number]
        variables = row.pop("variables")
        document = {name: value for name, value in row.items() if value is not None}
        if variables is not None:
            document["variables_json"] = variables
        as_object = parsed[number]
        if as_object is not None:
            document["variables"] = msgspec.Raw(as_object.encode())
        document["text"] = _text(row, texts[number])
        action = {"create": {"_index": index, "_id": ids[number]}}
        lines.append(f"{_encode(action).decode()}\n{_encode(document).decode()}\n")
    return pa.array(lines, pa.utf8())


def _text(row: dict[str, Any], variables: str | None) -> str:
    """The text for full-text search: errors and names, then ids, then values."""
    names = [*row["error_messages"], *row["error_codes"], row["operation_name"] or ""]
    parts = [
        *names,
        row["operation_type"],
        parts_of_names(" ".join(names)),
        row["user_id"],
        row["tenant_id"],
        row["request_id"],
        row["trace_id"],
        variables,
        row["query"],
    ]
    return " ".join(part for part in parts if part)
