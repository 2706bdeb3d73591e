"""Authentication that may have to wait: for an issuer's keys, or for a password to be checked."""


class MustWait(Exception):
    """The answer takes time, and who asks may not wait for it. Ask again from a thread."""
