"""What is wrong with a query, as ClickHouse says it: a code, a message, an HTTP status."""


class QueryError(Exception):
    """A query that failed; the text is ClickHouse's own wording, with the code in it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code."""
        return _STATUS_OF_CODE.get(self.code, 500)


def refusal(code: int, name: str, text: str) -> QueryError:
    """An error that the front itself finds, worded like the engine's own."""
    return QueryError(code, f"Code: {code}. DB::Exception: {text}. ({name})")


_CODES = {
    400: (6, 25, 26, 27, 36, 38, 41, 53, 62, 69, 70, 72, 117, 167, 168, 223, 321, 457),
    401: (194,),
    403: (164, 192, 193, 497, 516),
    404: (16, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 372),
    408: (159,),
    501: (48,),
}
_STATUS_OF_CODE = {code: status for status, codes in _CODES.items() for code in codes}
