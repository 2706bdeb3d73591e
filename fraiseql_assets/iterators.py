"""Closes iterators whose work goes on elsewhere, such as a query on a server."""


def close_iterator(items: object) -> None:
    """Closes a generator, which ends its work. Other iterables have nothing to close."""
    close = getattr(items, "close", None)
    if close is not None:
        close()
