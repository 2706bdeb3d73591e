"""Errors as ClickHouse reports them: a code, a message and an HTTP status."""


class QueryError(Exception):
    """A query failed. The text is ClickHouse's message, which contains the code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status for the code."""
        return _STATUS_OF_CODE.get(self.code, 500)


def refusal(code: int, name: str, text: str) -> QueryError:
    """An error of the front, in the form of the engine's errors."""
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
