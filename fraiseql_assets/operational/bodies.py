# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Builds bodies of `_bulk` requests from columns. No event becomes a Python object.

A document has the event's columns under their own names. It has `data` and `changes` twice: as
objects, for exact search by field, and as the strings `data_json` and `changes_json`, from which
readers get the original text. Servers may rewrite an object (its numbers and spaces), and refuse
values that are not objects or are nested too deeply. They never change a string. An event whose
objects are refused is sent again without them. `text` is the field for full-text search.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from fraiseql_assets.json_escaping import escaped, value_buffer
from fraiseql_assets.operational.json_text import objects, parts_of_names, rfc3339, words

LONGEST_ID = 512
"""The longest document id that Elasticsearch accepts, in bytes."""
HASHED = "sha256:"

REQUIRED_TEXT = ("event_id", "event_type", "entity_type", "entity_id")
OPTIONAL_TEXT = ("user_id", "tenant_id", "actor_type", "acting_for", "schema_version", "cdc_source")
OPTIONAL_NUMBERS = ("seq", "duration_ms")
SEARCHED = (
    *("entity_type", "event_type", "entity_id", "user_id"),
    *("acting_for", "tenant_id", "event_id"),
)
"""The columns at the start of the search text: names, then ids. The values follow."""

_TEXT_FACTOR = 4
"""The approximate size of a body relative to its Arrow data, to estimate how many rows fit."""


@dataclass(frozen=True, slots=True)
class Body:
    """Consecutive rows of a block as one request."""

    first: int
    """The row number of its first document in the table."""
    documents: pa.StringArray
    """For each row its action line and its document, each with a newline."""

    def payload(self) -> bytes:
        """The whole body, as it is sent."""
        return value_buffer(self.documents).to_pybytes()

    @property
    def bytes(self) -> int:
        """Its size in bytes."""
        return value_buffer(self.documents).size

    def take(self, rows: list[int]) -> "Body":
        """A body with only these rows."""
        return Body(self.first, self.documents.take(pa.array(rows, pa.int64())))

    def __len__(self) -> int:
        return len(self.documents)


class DocumentBuilder(Protocol):
    """Builds the action line and the document of each row, each with a newline. Without
    `with_objects`, documents have no fields whose values a server could refuse.
    """

    def __call__(
        self, rows: pa.RecordBatch, index: str, /, *, with_objects: bool = True
    ) -> pa.StringArray: ...


def bodies(
    table: pa.Table,
    index: str,
    most: int,
    build: DocumentBuilder,
    *,
    with_objects: bool = True,
) -> Iterator[Body]:
    """Yields the rows in requests of up to `most` bytes, or of a single row that is larger."""
    rows = max(1, int(table.num_rows * most / (_TEXT_FACTOR * max(1, table.nbytes))))
    for start in range(0, table.num_rows, rows):
        part = table.slice(start, rows).combine_chunks().to_batches()[0]
        yield from _batched(Body(start, build(part, index, with_objects=with_objects)), most)


def _batched(body: Body, most: int) -> Iterator[Body]:
    lengths = pc.binary_length(body.documents).to_pylist()
    start = size = 0
    for row, length in enumerate(lengths):
        if size and size + length > most:
            yield Body(body.first + start, body.documents.slice(start, row - start))
            start, size = row, 0
        size += length
    yield Body(body.first + start, body.documents.slice(start))


def event_documents(
    events: pa.RecordBatch, index: str, /, *, with_objects: bool = True
) -> pa.StringArray:
    """For each event its action line and its document, each with a newline."""
    text = {name: escaped(events[name]) for name in (*REQUIRED_TEXT, *OPTIONAL_TEXT)}
    ids = escaped(document_ids(events["event_id"]))
    pieces: list[pa.Array | str] = [f'{{"create":{{"_index":"{index}","_id":"', ids]
    before = '"}}\n{'
    for name in REQUIRED_TEXT:
        pieces += [f'{before}"{name}":"', text[name]]
        before = '",'
    pieces += [
        *('","timestamp":"', rfc3339(events["timestamp"])),
        *('","stream_time":"', rfc3339(events["stream_time"])),
        *('","stream_seq":', events["stream_seq"].cast(pa.utf8())),
        *(',"stream_row":', events["stream_row"].cast(pa.utf8())),
    ]
    for name in OPTIONAL_TEXT:
        pieces += _field(name, text[name], '"')
    for name in OPTIONAL_NUMBERS:
        pieces += _field(name, events[name].cast(pa.utf8()), "")
    for name in ("data", "changes"):
        text[name] = escaped(events[name])
        pieces += _field(f"{name}_json", text[name], '"')
        if with_objects:
            pieces += _field(name, objects(events[name]), "")
    pieces += [',"text":"']
    for name in SEARCHED:
        pieces += [text[name], " "]
    pieces += [_parts(events["entity_type"]), " "]
    pieces += [_spoken(events["data"], text["data"]), " "]
    pieces += [_spoken(events["changes"], text["changes"]), '"}\n']
    return _joined(*pieces)


def _spoken(column: pa.StringArray, as_escaped: pa.StringArray) -> pa.StringArray:
    """JSON texts as escaped search words. Returns the escaped column itself if nothing differs."""
    spoken = words(column)
    return as_escaped if spoken is column else escaped(spoken)


def _parts(names: pa.StringArray) -> pa.StringArray:
    """The parts of compound names, escaped. There are few distinct names, so each is split once."""
    distinct = names.dictionary_encode()
    parts = pa.array(map(parts_of_names, distinct.dictionary.to_pylist()), pa.utf8())
    return escaped(parts).take(distinct.indices)


def _field(name: str, values: pa.StringArray, quote: str) -> list[pa.Array | str]:
    """A field of the documents, omitted for events without a value."""
    if values.null_count == len(values):
        return []
    if values.null_count == 0:
        return [f',"{name}":{quote}', values, quote]
    return [pc.binary_join_element_wise(f',"{name}":{quote}', values, quote, "")]


def _joined(*pieces: pa.Array | str) -> pa.StringArray:
    """The pieces of each event as one text; nulls are omitted."""
    return pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")


def document_ids(ids: pa.StringArray) -> pa.StringArray:
    """The document ids: the ids of the rows, or a digest if Elasticsearch does not accept the id.
    Two rows have the same document id only if they have the same id.
    """
    lengths = pc.binary_length(ids)
    unfit = pc.or_(
        pc.or_(pc.greater(lengths, LONGEST_ID), pc.equal(lengths, 0)),
        pc.starts_with(ids, HASHED),
    )
    if not pc.any(unfit).as_py():
        return ids
    digests = [
        HASHED + hashlib.sha256(text.encode()).hexdigest() for text in ids.filter(unfit).to_pylist()
    ]
    return pc.replace_with_mask(ids, unfit, pa.array(digests, pa.utf8()))
