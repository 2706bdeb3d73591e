"""Removes the addresses of inner servers from a message before a client sees it."""

import re

_URL = r"\b[a-z][a-z0-9+.-]*://[^\s'\"(),;]*[^\s'\"(),;.:]"
_HIDDEN = "…"
_RULES = [
    (re.compile(rf" at {_URL}(?:, ?{_URL})*"), ""),
    (re.compile(_URL), _HIDDEN),
    # Hosts and ports as urllib3, asyncio and libpq write them.
    (re.compile(r"\bhost='[^']*'(?:, port='?\d+'?)?"), f"host={_HIDDEN}"),
    (re.compile(r"\('[^']*', \d+(?:, \d+)*\)"), f"({_HIDDEN})"),
    (
        re.compile(
            r"(?i)\b(resolve|host name|server at|host) ['\"][^'\"]+['\"](?: \([^)]*\))?"
            r"(?:,? port \d+)?"
        ),
        rf"\1 {_HIDDEN}",
    ),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), _HIDDEN),
    (re.compile(r"\[[0-9a-fA-F]*:[0-9a-fA-F:]+\](?::\d+)?"), _HIDDEN),
    (re.compile(r"\b[a-zA-Z][\w.-]*:\d{2,5}\b"), _HIDDEN),
]


def without_addresses(text: str) -> str:
    """The text without URLs, hosts and ports."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
