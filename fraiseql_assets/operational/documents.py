"""The documents of each dataset: their mapping, how they are built, and the fields of columns."""

from collections.abc import Mapping
from dataclasses import dataclass

from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.operational.bodies import DocumentBuilder, event_documents
from fraiseql_assets.operational.request_bodies import request_documents


@dataclass(frozen=True, slots=True)
class Documents:
    """How rows of a dataset become documents, and documents become rows again."""

    mapping: str
    """The file of `mappings/` that defines their index."""
    build: DocumentBuilder
    stored_as: Mapping[str, str]
    """The fields from which columns are read, if they have another name."""

    def source_of(self, column: str) -> str:
        """The field from which a column is read."""
        return self.stored_as.get(column, column)


_DOCUMENTS = {
    EVENTS.name: Documents(
        "events", event_documents, {"data": "data_json", "changes": "changes_json"}
    ),
    REQUESTS.name: Documents("requests", request_documents, {"variables": "variables_json"}),
}


def documents_of(dataset: Dataset) -> Documents:
    """The documents of a dataset."""
    return _DOCUMENTS[dataset.name]
