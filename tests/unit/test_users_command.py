"""`fraiseql-assets users`: the users file from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flight_service.identity.passwords import matches
from flight_service.identity.users import read_users
from fraiseql_assets.cli.main import app

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("flight_service.identity.passwords.COST", 16)
    return tmp_path / "users.json"


def users(file: Path | None, *arguments: str, given: str = "") -> Result:
    where = [] if file is None else ["--file", str(file)]
    return CliRunner().invoke(app, ["users", *arguments, *where], input=given)


def add(file: Path, *arguments: str) -> Result:
    return users(file, "add", *arguments, "--password-stdin", given=f"{PASSWORD}\n")


def test_a_user_is_added_with_tenant_roles_and_scopes(file: Path) -> None:
    done = add(file, "ada", "--tenant", "acme", "--role", "a", "--role", "b", "--scope", "sql")
    assert done.exit_code == 0, done.output
    [(name, user)] = read_users(file).items()
    assert (name, user.tenant_id, user.roles, user.scopes) == ("ada", "acme", ("a", "b"), ("sql",))
    assert matches(PASSWORD, user.password)
    assert PASSWORD not in done.output + file.read_text()


def test_the_password_is_prompted_for_twice(file: Path) -> None:
    done = users(file, "add", "ada", given=f"{PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 0, done.output
    assert matches(PASSWORD, read_users(file)["ada"].password)


def test_a_user_is_replaced_listed_and_removed(file: Path) -> None:
    add(file, "ada", "--tenant", "acme")
    add(file, "bob")
    assert "replaced ada" in add(file, "ada", "--tenant", "globex").output
    listed = users(file, "list").output
    assert "globex" in listed
    assert "scrypt" not in listed
    assert users(file, "remove", "ada").exit_code == 0
    assert list(read_users(file)) == ["bob"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a:b", "--password-stdin"], "none of them a colon"),
        (["add", "ada", "--password-stdin"], "A password has 8 characters or more"),
        (["remove", "eve"], "There is no user 'eve'"),
    ],
)
def test_invalid_input_is_refused_with_the_reason(
    file: Path, arguments: list[str], said: str
) -> None:
    done = users(file, *arguments, given="short\n")
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())
    assert not file.exists()


def test_without_a_file_the_setting_is_named() -> None:
    done = users(None, "list")
    assert done.exit_code == 1
    assert "FRAISEQL_USERS_FILE" in done.output
