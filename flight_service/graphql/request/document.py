"""A request's document: parsed, with the schema's spellings, and validated."""

from dataclasses import dataclass

from graphql import DocumentNode, GraphQLError, GraphQLSchema, GraphQLSyntaxError, parse, validate

from flight_service.graphql.errors import LimitExceeded, QueryRefused, QueryUnparsable
from flight_service.graphql.request.cache import ByteCache
from flight_service.graphql.request.selection import BYTES_PER_CHARACTER
from flight_service.graphql.request.spelling import with_names_of, with_types_of

MAX_ERRORS = 20
CACHE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class ValidDocument:
    """A valid document. It is shared and must not be changed."""

    document: DocumentNode
    """With the schema's names of queries, otherwise as the client wrote it."""
    typed: DocumentNode
    """With variables of the types of the positions where they are used."""


def read_document(
    schema: GraphQLSchema, text: str, tokens: int, *, hide_suggestions: bool
) -> ValidDocument:
    """Parses and validates a document of at most `tokens` tokens. Documents are cached.

    Raises:
        QueryUnparsable, QueryRefused: with all errors.
        LimitExceeded: it is too long, or nested too deeply.
    """
    key = schema, text, tokens, hide_suggestions
    read = _documents.get(key)
    if read is None:
        read = _read(schema, text, tokens, hide_suggestions)
        _documents.put(key, read, len(text) * BYTES_PER_CHARACTER)
    found, errors = read
    if errors:
        raise QueryRefused.of(errors)
    return found


_documents: ByteCache[tuple[ValidDocument, list[GraphQLError]]] = ByteCache(CACHE_BYTES)


def _read(
    schema: GraphQLSchema, text: str, tokens: int, hide_suggestions: bool
) -> tuple[ValidDocument, list[GraphQLError]]:
    document = with_names_of(schema, _parse(text, tokens))
    typed = with_types_of(schema, document)
    errors = validate(schema, typed, max_errors=MAX_ERRORS, hide_suggestions=hide_suggestions)
    return ValidDocument(document, typed), errors


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
            message, locations=[(at.line, at.column) for at in error.locations or ()]
        ) from error
    except RecursionError as error:
        raise LimitExceeded(
            "The document is nested too deeply. FRAISEQL_GRAPHQL_MAX_DEPTH says how deep it may be."
        ) from error
