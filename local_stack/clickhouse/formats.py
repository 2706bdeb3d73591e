"""The media types of ClickHouse's formats."""

DEFAULT_FORMAT = "TabSeparated"

_TEXT = "text/plain; charset=UTF-8"
_JSON = "application/json; charset=UTF-8"
_LINES = "application/x-ndjson; charset=UTF-8"
_TABS = "text/tab-separated-values; charset=UTF-8"
_BYTES = "application/octet-stream"

_BY_NAME = {
    "arrow": _BYTES,
    "arrowstream": "application/vnd.apache.arrow.stream",
    "avro": _BYTES,
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "csvwithnamesandtypes": "text/csv; charset=UTF-8; header=present",
    "json": _JSON,
    "jsoncolumns": _JSON,
    "jsoncompact": _JSON,
    "jsoncompacteachrow": _LINES,
    "jsoneachrow": _LINES,
    "jsonlines": _LINES,
    "jsonstrings": _JSON,
    "markdown": "text/markdown; charset=UTF-8",
    "msgpack": "application/x-msgpack",
    "native": _BYTES,
    "ndjson": _LINES,
    "orc": _BYTES,
    "parquet": _BYTES,
    "rowbinary": _BYTES,
    "rowbinarywithnames": _BYTES,
    "rowbinarywithnamesandtypes": _BYTES,
    "tabseparated": _TABS,
    "tabseparatedwithnames": _TABS,
    "tabseparatedwithnamesandtypes": _TABS,
    "tsv": _TABS,
    "tsvwithnames": _TABS,
    "tsvwithnamesandtypes": _TABS,
    "xml": "application/xml; charset=UTF-8",
}


def content_type(name: str) -> str:
    """The Content-Type of a format."""
    return _BY_NAME.get(name.lower(), _TEXT)
