"""Text on one line, as log lines, headers and error messages need it."""


def one_line(text: object) -> str:
    """The text, or the message of an error, with each run of white space as one space."""
    return " ".join(str(text).split())
