"""How many results a principal may read at once."""

import pytest
from pydantic import SecretStr

from flight_service.authentication import Principal
from flight_service.limits import StreamLimits, TooManyStreams
from fraiseql_assets.settings import Settings

GUARDED = Settings(jwt_secret=SecretStr("x" * 32), principal_streams=2)
ADA, BOB = Principal("ada", "acme"), Principal("bob", "acme")


def test_concurrent_results_of_a_principal_are_limited() -> None:
    limits = StreamLimits(GUARDED)
    end = limits.begin(ADA)
    limits.begin(ADA)
    with pytest.raises(TooManyStreams, match=r"reads 2 results already.*PRINCIPAL_STREAMS"):
        limits.begin(ADA)
    limits.begin(BOB)
    end()
    end()
    limits.begin(ADA)
    with pytest.raises(TooManyStreams):
        limits.begin(ADA)


def test_equal_subjects_of_two_tenants_are_two_principals() -> None:
    limits = StreamLimits(GUARDED)
    for tenant in ("acme", "other", "acme", "other"):
        limits.begin(Principal("ada", tenant))


def test_a_service_without_tokens_has_no_such_limit() -> None:
    limits = StreamLimits(Settings(principal_streams=1))
    for _ in range(3):
        limits.begin(Principal())
