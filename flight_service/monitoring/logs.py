"""The service's log: plain text, or one JSON object per line."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LogFormat = Literal["text", "json"]


def configure(log_format: LogFormat) -> None:
    """Writes all log records to standard error in this format."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines(TEXT))
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger("flight_service.calls").setLevel(logging.INFO)
    # The client gets an error for a server that is down, so these warnings are not needed.
    for library in ("urllib3", "clickhouse_connect", "elastic_transport", "nats"):
        logging.getLogger(library).setLevel(logging.ERROR)


class JsonLines(logging.Formatter):
    """A record as one JSON object: `time`, `level`, `logger`, `message`, and the record's fields,
    if it has any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class TextLines(logging.Formatter):
    """A record as text, with its fields as `name=value` after the message. A value with a space, a
    quote or a control character is a JSON string, so that no value can add a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 [overrides logging's]
        fields: dict[str, Any] = getattr(record, "fields", {})
        shown = [f"{name}={_value(value)}" for name, value in fields.items() if value is not None]
        return " ".join([super().formatMessage(record), *shown])


def _value(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not set(text) & set(' "=\\')
    return text if is_plain else json.dumps(text)
