"""The stored position of a bridge."""

import msgspec


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The state with which a bridge continues where another one ended."""

    head: int
    """The largest row number that was published."""
    head_id: str | None = None
    """The id of that row. If the number belongs to another row, the table was rebuilt."""
    gaps: tuple[tuple[int, int], ...] = ()
    """Ranges of lower numbers whose rows may still be committed."""
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
        """Parses a stored position; unknown fields of newer releases are ignored.

        Raises:
            ValueError: it is no position.
        """
        try:
            return msgspec.json.decode(stored, type=cls)
        except msgspec.MsgspecError as error:
            raise ValueError(f"{stored[:80]!r} is no position: {error}") from error
