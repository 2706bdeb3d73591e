"""Which status a failed call has is decided in `flight_service.errors` alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import flight

import flight_service
from flight_service.errors import (
    STATUSES,
    InvalidRequest,
    Status,
    as_flight_error,
    reported_status,
    status_of,
)
from fraiseql_assets.planes import PlaneUnavailable

SERVICE = Path(flight_service.__file__).parent
ERRORS = SERVICE / "errors.py"


def numbers(module: Path) -> Iterator[int]:
    """The numbers that a module passes, assigns or returns and that are statuses of HTTP."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call():
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
            case ast.Assign(value=ast.Tuple() as several):
                values = several.elts
            case ast.Assign() | ast.Return():
                values = [node.value]
            case ast.IfExp():
                values = [node.body, node.orelse]
            case _:
                continue
        found = [value.value for value in values if isinstance(value, ast.Constant)]
        yield from (number for number in found if type(number) is int and 400 <= number <= 511)


def test_no_other_module_names_the_number_of_a_status() -> None:
    modules = set(SERVICE.rglob("*.py")) - set(SERVICE.rglob("*_pb2.py")) - {ERRORS}
    named = {str(module.relative_to(SERVICE)): sorted(numbers(module)) for module in modules}
    assert {module: found for module, found in named.items() if found} == {}
    assert set(numbers(ERRORS)) >= {status.http for status in STATUSES}


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.name)
def test_each_status_is_recognised_when_pyarrow_reports_it(status: Status) -> None:
    assert reported_status(status.flight("It failed.")) == status.name


def test_statuses_are_recognised_from_the_exceptions_that_are_sent() -> None:
    for error in (InvalidRequest("no"), PlaneUnavailable("no"), ValueError("a bug")):
        assert reported_status(as_flight_error(error)) == status_of(error).name
    assert reported_status(None) == "ok"
    assert reported_status(flight.FlightServerError("no")) == "internal"
    assert reported_status(OSError()) == "unknown"
