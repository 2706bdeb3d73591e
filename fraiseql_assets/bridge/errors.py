"""Errors of the bridge.

BridgeError             a person has to act: the bridge ends
├── UnreadableTable     the change log cannot be read completely
└── NumberingRestarted  the change log is not the one that the position belongs to
DatabaseUnavailable     PostgreSQL does not answer: the bridge tries again
PositionTaken           another bridge has saved a position: the bridge starts over from it
"""


class BridgeError(Exception):
    """The bridge cannot continue until somebody acts; the message says what to do."""


class UnreadableTable(BridgeError):
    """Rows of the change log are hidden from the bridge, or columns are missing."""


class NumberingRestarted(BridgeError):
    """The change log was rebuilt, or restored to an earlier state."""


class DatabaseUnavailable(Exception):
    """PostgreSQL cannot be reached, or has ended the connection."""


class PositionTaken(Exception):
    """Another bridge of the same name has saved a position meanwhile."""
