"""Authentication that may take time: requests to an issuer, or checks of passwords."""


class MustWait(Exception):
    """Authentication takes time, and the caller may not wait. Repeat it in a thread."""
