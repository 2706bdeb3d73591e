"""Secrets are removed from requests before they are recorded."""

import json

import pytest

from fraiseql_assets.requests.record import RequestError, RequestRecord, message_of
from fraiseql_assets.requests.redaction import REDACTED, Redaction

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "name",
    ["password", "newPassword", "api_key", "apiKey", "accessToken", "clientSecret", "cvv", "otp",
     "pin", "Authorization", "sessionId", "iban", "cardNumber"],
)  # fmt: skip
def test_a_value_with_a_secret_name_is_removed(name: str) -> None:
    assert Redaction().variables({"input": [{name: "hunter22"}]}) == {"input": [{name: REDACTED}]}


@pytest.mark.parametrize("name", ["id", "spinning", "shopping", "status", "email", "total"])
def test_other_values_are_kept(name: str) -> None:
    assert Redaction().variables({name: "kept"}) == {name: "kept"}


@pytest.mark.parametrize(
    "value", [TOKEN, f"Bearer {TOKEN}", "sk_live_abcdef123", "AKIA" + "A" * 16]
)
def test_a_value_that_looks_like_a_token_is_removed_everywhere(value: str) -> None:
    assert Redaction().variables({"note": value}) == {"note": REDACTED}


def test_configured_paths_are_removed() -> None:
    redaction = Redaction(["input.email", "*.phone"])
    given = {"input": {"email": "a@b.example", "contact": {"phone": "123"}}, "email": "kept"}
    assert redaction.variables(given) == {
        "input": {"email": REDACTED, "contact": {"phone": REDACTED}},
        "email": "kept",
    }


def test_only_secret_literals_of_a_query_are_removed() -> None:
    text = 'mutation { login(name: "ada", password: "hunter22", in: {pin: 1234}) { id } }'
    redacted = Redaction().query(text)
    assert "hunter22" not in redacted
    assert "1234" not in redacted
    assert '"ada"' in redacted


def test_a_query_without_secrets_is_unchanged() -> None:
    text = 'query  Q { orders(where: {status: {eq: "paid"}})   { id } }  # as it is'
    assert Redaction().query(text) == text


def test_a_default_of_a_secret_variable_is_removed() -> None:
    assert "hunter22" not in Redaction().query('query ($password: String = "hunter22") { a }')


def test_every_string_of_invalid_graphql_is_removed() -> None:
    assert "hunter22" not in Redaction().query('{ login(password: "hunter22" { id }')
    assert "hunter22" not in Redaction().query('{ login(password: "hunter22')


def test_secrets_are_removed_from_error_messages() -> None:
    record = RequestRecord(
        query="query ($password: Int) { a }",
        transport="http",
        status="error",
        duration_ms=1.0,
        variables={"password": "hunter22"},
        errors=[RequestError('Variable "$password" got invalid value "hunter22"', "BAD")],
    )
    assert b"hunter22" not in message_of(record, "r", ()).payload


def test_variables_that_are_too_large_are_replaced_by_their_size() -> None:
    record = RequestRecord("{ a }", "http", "ok", 1.0, variables={"text": "x" * 100_000})
    body = json.loads(message_of(record, "r", ()).payload)
    assert body["variables"] == {"too_large_bytes": 100_011}


def test_subject_and_body_name_the_operation() -> None:
    query = "query A { a } mutation B { b }"
    message = message_of(RequestRecord(query, "http", "ok", 1.0, operation_name="B"), "r", ())
    assert message.subject == "r.mutation"
    assert json.loads(message.payload)["operation_name"] == "B"
