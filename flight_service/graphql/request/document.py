"""A request's document: parsed, its spellings made the schema's, and validated."""

from dataclasses import dataclass

from graphql import DocumentNode, GraphQLError, GraphQLSchema, GraphQLSyntaxError, parse, validate

from flight_service.graphql.errors import LimitExceeded, QueryRefused, QueryUnparsable
from flight_service.graphql.request.cache import ByteCache
from flight_service.graphql.request.spelling import with_names_of, with_types_of

MOST_ERRORS = 20
REMEMBERED_BYTES = 32 * 2**20
BYTES_PER_CHARACTER = 300
"""About how much memory a character of a document takes once it is read, at most."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that is valid. Its readers do not change it."""

    document: DocumentNode
    """With the schema's names of its queries, and otherwise as the client wrote it."""
    typed: DocumentNode
    """With variables of the types that the places where they stand have."""


def read_document(schema: GraphQLSchema, text: str, tokens: int) -> Document:
    """Reads a document of at most so many tokens.

    Raises:
        QueryUnparsable, QueryRefused: with all that is wrong.
        LimitExceeded: it is too long, or nested too deeply.
    """
    key = schema, text, tokens
    read = _documents.get(key)
    if read is None:
        read = _read(schema, text, tokens)
        _documents.put(key, read, len(text) * BYTES_PER_CHARACTER)
    found, errors = read
    if errors:
        raise QueryRefused.of(errors)
    return found


_documents: ByteCache[tuple[Document, list[GraphQLError]]] = ByteCache(REMEMBERED_BYTES)


def _read(schema: GraphQLSchema, text: str, tokens: int) -> tuple[Document, list[GraphQLError]]:
    document = with_names_of(schema, _parse(text, tokens))
    typed = with_types_of(schema, document)
    return Document(document, typed), validate(schema, typed, max_errors=MOST_ERRORS)


def _parse(text: str, tokens: int) -> DocumentNode:
    try:
        return parse(text, max_tokens=tokens)
    except GraphQLSyntaxError as error:
        failure = LimitExceeded if "Parsing aborted" in error.message else QueryUnparsable
        message = error.message
        if failure is LimitExceeded:
            message = (
                f"The document has more than {tokens:,} tokens. "
                "FRAISEQL_GRAPHQL_MAX_FIELDS allows no larger one."
            )
        raise failure(
            message, locations=[(place.line, place.column) for place in error.locations or ()]
        ) from error
    except RecursionError as error:
        raise LimitExceeded(
            "The document is nested too deeply. FRAISEQL_GRAPHQL_MAX_DEPTH says how deep it may be."
        ) from error
