"""How far the bridge has come, as it is stored between its starts."""

import msgspec


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a bridge must know to go on where another one ended."""

    head: int
    """The largest row number that was published."""
    head_id: str | None = None
    """The id of that row: another row with its number means that the table was rebuilt."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Numbers below it whose rows may still come, as first and last number."""
    stream_seq: int
    """A sequence of the log. Events that were published after this position was saved have larger
    ones."""
    published: int = 0
    """Events published so far."""
    saved_at: str = ""
    """When, in RFC 3339."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, stored: bytes) -> "Position":
        """Reads a stored position; fields that a newer release has added are ignored.

        Raises:
            ValueError: it is no position.
        """
        try:
            return msgspec.json.decode(stored, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"{stored[:80]!r} is no position: {error}") from error
