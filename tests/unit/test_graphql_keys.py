"""The keys of documents, decided once for each source."""

import pytest

from flight_service.graphql.schema.naming import Naming
from flight_service.graphql.sources.evidence import merged, written
from flight_service.graphql.sources.keys import NOTHING, FieldKeys, Seen, keys_of
from flight_service.graphql.sources.values import Built, Column, document, member

FIELDS = ("id", "isPaid", "phone1", "placedAt", "customer", "firstName")


def seen(tree: dict) -> Seen:
    return Seen({key: seen(inner) for key, inner in tree.items()})


def keys(tree: dict | None = None, *texts: str) -> FieldKeys:
    return keys_of(Naming(), FIELDS, seen(tree or {}), texts)


def test_without_evidence_keys_follow_fraiseqls_rule() -> None:
    assert [keys().key(name) for name in FIELDS] == [
        *("id", "is_paid", "phone_1", "placed_at", "customer", "first_name")
    ]


def test_a_key_that_documents_have_is_used() -> None:
    found = keys({"isPaid": {}, "phone_1": {}, "phone1": {}})
    assert found.key("isPaid") == "isPaid"
    assert found.key("phone1") == "phone_1"


def test_a_views_string_literals_are_its_keys() -> None:
    texts = written("SELECT jsonb_build_object('isPaid', o.paid, 'it''s', 1) AS data FROM o")
    assert texts == {"isPaid", "it's"}
    assert keys({}, *texts).key("isPaid") == "isPaid"


@pytest.mark.parametrize(
    ("tree", "key"),
    [
        ({"isPaid": {}}, "placedAt"),
        ({"is_paid": {}}, "placed_at"),
        ({"isPaid": {}, "first_name": {}}, "placed_at"),
        ({"customer": {"firstName": {}}}, "placedAt"),
        # Keys that are not fields of the schema are no evidence.
        ({"any": {"someKey": {}}}, "placed_at"),
    ],
)
def test_a_field_without_evidence_follows_the_other_fields(tree: dict, key: str) -> None:
    assert keys(tree).key("placedAt") == key


def test_each_object_in_a_document_has_its_own_keys() -> None:
    found = keys({"customer": {"firstName": {}}, "is_paid": {}})
    assert found.within("customer").key("firstName") == "firstName"
    assert found.within("customer").key("isPaid") == "is_paid"


def test_samples_of_documents_are_merged() -> None:
    both = merged(Seen({"a": Seen({"b": NOTHING})}), Seen({"a": Seen(wide=True), "c": NOTHING}))
    assert both == Seen({"a": Seen({"b": NOTHING}, wide=True), "c": NOTHING})


def test_document_members_are_read_by_key() -> None:
    found = document("d.data", keys=keys({"customer": {"firstName": {}}}))
    name = found.member("customer").member("firstName")
    assert name.text == "d.data->'customer'->>'firstName'"
    assert found.member("__typename").text == "d.data->>'__typename'"


def test_members_of_an_expanded_object_are_read_by_key() -> None:
    paid = Column("d.paid", "bool")
    built = Built({"is_paid": paid}, keys=keys({"is_paid": {}}), complete=True)
    assert member(built, "isPaid") is paid
    flat = Built({"isPaid": paid})
    assert member(flat, "isPaid") is paid
