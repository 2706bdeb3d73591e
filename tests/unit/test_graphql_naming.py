"""The keys of documents: FraiseQL's rule, against a second implementation of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_service.graphql.schema.naming import ACRONYMS, Naming, camel

NAMES = st.from_regex(r"[_a-zA-Z][_0-9a-zA-Z]{0,24}", fullmatch=True)
WORDS = st.sampled_from(
    (*sorted(ACRONYMS), "is", "Paid", "HTTP", "Id", "phone", "db", "7", "X", "_")
)
ACRONYM_LISTS = st.lists(st.sampled_from(("db2", " K8s ", "", "phone1")), max_size=3)


def by_character(name: str, acronyms: set[str]) -> str:
    """The rule, implemented as one pass over the characters."""
    written, run = "", ""
    for place, letter in enumerate(name):
        before, after = name[place - 1 : place], name[place + 1 : place + 2]
        if letter.isupper():
            new_word = (
                before.islower() or before.isdigit() or (before.isupper() and after.islower())
            )
            written += "_" * new_word + letter.lower()
        elif letter.isdigit() and before.islower():
            number = ""
            for one in name[place:]:
                if not one.isdigit():
                    break
                number += one
            written += letter if run + number in acronyms else f"_{letter}"
        else:
            written += letter
        run = run + letter if letter.islower() else ""
    return written


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("isPaid", "is_paid"),
        ("phone1", "phone_1"),
        ("dns1Id", "dns_1_id"),
        ("s3Key", "s3_key"),
        ("awsS3", "aws_s3"),
        ("HTTPResponse", "http_response"),
        ("userID", "user_id"),
        ("myIpv4", "my_ipv_4"),
        ("ipv4Address", "ipv4_address"),
        ("is_paid", "is_paid"),
        ("phone_1", "phone_1"),
        ("__typename", "__typename"),
        ("x", "x"),
    ],
)
def test_a_field_is_read_from_its_snake_case_key(name: str, key: str) -> None:
    assert Naming().snake(name) == key


def test_a_schema_adds_acronyms() -> None:
    assert Naming().snake("db2Port") == "db_2_port"
    assert Naming([" DB2 "]).snake("db2Port") == "db2_port"


@given(st.one_of(NAMES, st.lists(WORDS, min_size=1).map("".join)), ACRONYM_LISTS)
def test_the_rule_agrees_with_a_second_implementation(name: str, added: list[str]) -> None:
    acronyms = {*ACRONYMS, *(one.strip().lower() for one in added)} - {""}
    assert Naming(added).snake(name) == by_character(name, acronyms)


@given(st.from_regex(r"[a-z]+(_([a-z]+|[0-9]+))*", fullmatch=True))
def test_a_name_in_snake_case_is_not_changed(name: str) -> None:
    assert Naming().snake(name) == name


def test_operations_are_named_in_camel_case() -> None:
    assert camel("create_dns_server") == "createDnsServer"
    assert camel("orders") == "orders"


@pytest.mark.parametrize("column", ["line_2_total", "line2Total", "line2_total"])
def test_a_column_name_may_join_a_word_and_a_digit(column: str) -> None:
    assert column in Naming().columns("line2Total")
