"""The tests that share the whole stack run on one worker, in their order."""

import ast
from pathlib import Path

from distribution import ON_THE_STACK, rank, unit_of

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.glob("*/test_*.py"))


def uses_the_stack(path: Path) -> bool:
    """Whether a file's tests and fixtures use the session's `stack`, and not one of its own."""
    text = path.read_text()
    if "stack" not in text:
        return False
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    if any(function.name == "stack" for function in functions):
        return False
    calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return "request.getfixturevalue('stack')" in calls or any(
        argument.arg == "stack"
        for function in functions
        if function.name.startswith("test_") or function.decorator_list
        for argument in function.args.args
    )


def test_every_file_that_uses_the_stack_is_listed() -> None:
    assert {path.name for path in FILES if uses_the_stack(path)} == set(ON_THE_STACK)


def test_the_files_of_the_stack_are_one_unit_and_others_one_each() -> None:
    ordered = sorted(FILES, key=rank)
    units = [unit_of(f"{path}::test_it[a::b]") for path in ordered]
    assert units.count("the stack") == len(ON_THE_STACK)
    assert len(set(units)) == len(FILES) - len(ON_THE_STACK) + 1


def test_the_tests_on_the_stack_come_first_and_unit_tests_last() -> None:
    ordered = sorted(FILES, key=rank)
    assert tuple(path.name for path in ordered[: len(ON_THE_STACK)]) == ON_THE_STACK
    kinds = [path.parent.name for path in ordered]
    assert set(kinds[kinds.index("unit") :]) == {"unit"}
