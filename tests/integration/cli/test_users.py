"""``users`` as a person calls it."""

import io
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from adapters.db.repos.users import read_password_hash
from adapters.passwords import Passwords
from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_OK

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def desk(pg_role_urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPDESK_POSTGRES_ACCESS_URL", pg_role_urls["access"])
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path / "home"))


def users(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["users", "list", "--json"]) == EXIT_OK
    return {user["login"]: user for user in json.loads(capsys.readouterr().out)["users"]}


def test_a_person_is_added_changed_and_shut_out(
    pg_role_urls: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["users", "add", "asha", "--role", "trader"]) == EXIT_OK
    made = capsys.readouterr().out.strip()
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        assert Passwords().matches(read_password_hash(connection, "asha"), made)
    assert main(["users", "role", "asha", "admin"]) == EXIT_OK
    assert main(["users", "disable", "asha"]) == EXIT_OK
    assert (users(capsys)["asha"]["role"], users(capsys)["asha"]["is_disabled"]) == ("ADMIN", True)
    assert main(["users", "enable", "asha"]) == EXIT_OK
    assert main(["users", "unlock", "asha"]) == EXIT_OK
    monkeypatch.setattr("sys.stdin", io.StringIO("a password of my own\n"))
    assert main(["users", "password", "asha", "--password-stdin"]) == EXIT_OK
    assert "a password of my own" not in capsys.readouterr().out
    with psycopg.connect(psycopg_dsn(pg_role_urls["access"])) as connection:
        assert Passwords().matches(read_password_hash(connection, "asha"), "a password of my own")
    assert users(capsys)["asha"]["is_disabled"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "No Name"], "cannot be a login"),
        (["disable", "nobody"], "no user nobody"),
        (["role", "nobody", "king"], "king"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", *words]) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err


def test_a_short_password_is_refused_and_nobody_added(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["users", "add", "ravi", "--password-stdin"]) == EXIT_BAD_INPUT
    assert "12 to 256" in capsys.readouterr().err
    assert "ravi" not in users(capsys)
