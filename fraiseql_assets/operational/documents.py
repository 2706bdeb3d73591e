"""The documents of each dataset: their mapping, how they are built, and where their columns are."""

from collections.abc import Mapping
from dataclasses import dataclass

from fraiseql_assets.datasets import EVENTS, REQUESTS, Dataset
from fraiseql_assets.operational.bodies import DocumentBuilder, event_documents
from fraiseql_assets.operational.request_bodies import request_documents


@dataclass(frozen=True, slots=True)
class Documents:
    """How the rows of a dataset become documents, and documents rows again."""

    mapping: str
    """The file of `mappings/` that defines their index."""
    build: DocumentBuilder
    stored_as: Mapping[str, str]
    """The fields that columns are read back from, where they have another name."""

    def source_of(self, column: str) -> str:
        """The field that a column is read back from."""
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
