"""Dagster's GraphQL API over HTTP. The service uses only Dagster's web server."""

import logging
from functools import cache
from pathlib import Path
from typing import Any

import requests

from flight_service.address_redaction import without_addresses
from flight_service.errors import UNAVAILABLE, ServiceError
from fraiseql_assets.settings import Settings

DOCUMENTS = Path(__file__).with_name("documents")
ANSWER_SECONDS = 30.0
"""The timeout of requests to Dagster, which calls its code server to launch a run."""

logger = logging.getLogger(__name__)


class DagsterFailed(ServiceError):
    """Dagster does not answer, or reports an error. The message has no addresses."""

    status = UNAVAILABLE


class Dagster:
    """Sends the documents of `documents/` to Dagster's web server. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._url = f"{settings.dagster_url.rstrip('/')}/graphql"
        self._login = settings.dagster_login
        self._timeout = (settings.probe_timeout_seconds, ANSWER_SECONDS)

    def ask(self, document: str, variables: dict[str, Any]) -> Any:
        """The value of the document's one field.

        Raises:
            DagsterFailed: Dagster cannot be reached, refuses the service, or reports an error.
        """
        body = {"query": _text(document), "variables": variables}
        try:
            answer = requests.post(self._url, json=body, auth=self._login, timeout=self._timeout)
        except requests.RequestException as error:
            logger.warning("Dagster at %s: %s", self._url, error)
            raise DagsterFailed(
                "Dagster's web server does not answer. Check that it runs and that "
                "FRAISEQL_DAGSTER_URL of the Flight service names it."
            ) from error
        if answer.status_code in _REFUSALS:
            logger.warning("Dagster at %s: %s %s", self._url, answer.status_code, answer.text)
            raise DagsterFailed(_REFUSALS[answer.status_code])
        try:
            found = answer.json()
            if found.get("errors"):
                raise DagsterFailed(f"Dagster reports an error: {message_of(found['errors'][0])}")
            [value] = found["data"].values()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("Dagster at %s: %s %s", self._url, answer.status_code, answer.text[:500])
            raise DagsterFailed(
                f"What answers at FRAISEQL_DAGSTER_URL is not Dagster: status {answer.status_code}."
            ) from error
        return value


_REFUSALS = {
    401: "Dagster's web server asks for a password. Set FRAISEQL_DAGSTER_PASSWORD of the Flight "
    "service to the one that Dagster has.",
    403: "Dagster's web server does not know the host name in FRAISEQL_DAGSTER_URL. Add it to "
    "FRAISEQL_DAGSTER_HOSTS where Dagster runs.",
}


@cache
def _text(document: str) -> str:
    return (DOCUMENTS / f"{document}.graphql").read_text()


def message_of(error: Any) -> str:
    """The first line of an error that Dagster reports, without addresses."""
    text = str(error.get("message") or "no reason given") if isinstance(error, dict) else str(error)
    return without_addresses(text.strip().partition("\n")[0])
