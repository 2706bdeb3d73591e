# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions at import, out of a type checker's sight)
"""Bodies of `_bulk` requests, built by columns: no event becomes a Python object on its way.

An event's document has the event's columns under their own names. `data` and `changes` stand in it
twice: as objects, for exact search by their fields, and as `data_json` and `changes_json`, the text
byte for byte, which is what is read back. Servers may rewrite an object (its numbers, its spaces)
and refuse what is none or too deep; a string they keep. An event whose objects are refused is sent
again without them. `text` is what a person searches.
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
"""What the text of an event begins with: names, then ids. The values follow."""

_TEXT_FACTOR = 4
"""About how many bytes of a body a byte of Arrow becomes; used to estimate a chunk of rows."""


@dataclass(frozen=True, slots=True)
class Body:
    """Consecutive rows of a block as one request."""

    first: int
    """The row of its first document in the table."""
    documents: pa.StringArray
    """Per row its action line and its document, each with its newline."""

    def payload(self) -> bytes:
        """All of it as it goes over the wire."""
        return value_buffer(self.documents).to_pybytes()

    @property
    def bytes(self) -> int:
        """How long it is."""
        return value_buffer(self.documents).size

    def take(self, rows: list[int]) -> "Body":
        """These rows of the body, as a body of their own."""
        return Body(self.first, self.documents.take(pa.array(rows, pa.int64())))

    def __len__(self) -> int:
        return len(self.documents)


class DocumentBuilder(Protocol):
    """Makes, per row, the action line and the document for an index, each with its newline.

    Without `with_objects` a document has no field that a server could refuse for what it holds.
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
    """Yields the rows in requests of up to `most` bytes, or of one row where that is larger."""
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
    """Per event its action line and its document, each with its newline."""
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
    """JSON texts as words to search, escaped; the escaped column itself where they are the same."""
    spoken = words(column)
    return as_escaped if spoken is column else escaped(spoken)


def _parts(names: pa.StringArray) -> pa.StringArray:
    """The parts of compound names, escaped. There are few names, so each is taken apart once."""
    distinct = names.dictionary_encode()
    parts = pa.array(map(parts_of_names, distinct.dictionary.to_pylist()), pa.utf8())
    return escaped(parts).take(distinct.indices)


def _field(name: str, values: pa.StringArray, quote: str) -> list[pa.Array | str]:
    """A field of the document in the events that have one, nothing in the others."""
    if values.null_count == len(values):
        return []
    if values.null_count == 0:
        return [f',"{name}":{quote}', values, quote]
    return [pc.binary_join_element_wise(f',"{name}":{quote}', values, quote, "")]


def _joined(*pieces: pa.Array | str) -> pa.StringArray:
    """The pieces of each event in one text; a null is nothing."""
    return pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="")


def document_ids(ids: pa.StringArray) -> pa.StringArray:
    """The documents' ids: the rows' own, or their digest where Elasticsearch takes none such.

    Two rows have the same document id only when they have the same id.
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
