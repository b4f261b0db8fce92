"""``pause``, ``kill`` and the others as a person types them."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.db.engine import psycopg_dsn
from cli.main import main
from cli.output import EXIT_BAD_INPUT, EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_OK
from tests.support.desk_commands import answering

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def desk(pg_role_urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("access", "reader"):
        monkeypatch.setenv(f"PROPDESK_POSTGRES_{role.upper()}_URL", pg_role_urls[role])
    monkeypatch.setenv("PROPDESK_HOME", str(tmp_path / "home"))


def asked(account: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["commands", "--account", account, "--json"]) == EXIT_OK
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["commands"]
    return found


@pytest.mark.parametrize(
    ("words", "state", "code"),
    [
        (["pause", "--scope", "advisor:A01"], "DONE", EXIT_OK),
        (["kill", "LIQUIDATING", "--yes", "--json"], "DONE", EXIT_OK),
        (["resume", "--reason", "looked"], "REFUSED", EXIT_FAILURE),
        (["exit", "3f2a9c01"], "EXPIRED", EXIT_FAILURE),
    ],
)
def test_the_answer_is_shown_and_is_the_exit_code(
    words: list[str],
    state: str,
    code: int,
    pg_role_urls: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    account = words[0]
    with answering(psycopg_dsn(pg_role_urls["owner"]), account, state, "said the daemon"):
        assert main([*words, "--account", account]) == code
    out = capsys.readouterr().out
    if "--json" in words:
        found = json.loads(out)
        assert (found["state"], found["answer"], found["kind"]) == (state, "said the daemon", "KILL")
        assert found["arguments"] == {"level": "LIQUIDATING", "scope": "ACCOUNT"}
    else:
        assert state in out
        assert "said the daemon" in out


def test_without_a_daemon_the_command_stands_and_asking_again_by_its_key_asks_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["flatten", "--yes", "--wait", "0", "--account", "nobody", "--key", "mine", "--json"]
    assert main(words) == EXIT_NOT_RUNNING
    told = capsys.readouterr()
    assert json.loads(told.out)["state"] == "ASKED"
    assert "no daemon of account nobody was ever seen" in told.err
    assert "holds entries back already" in told.err
    assert "Asked as command" in told.err
    assert main(words) == EXIT_NOT_RUNNING
    assert "NOT asked anew: this key stands for command" in capsys.readouterr().err
    (only,) = asked("nobody", capsys)
    assert (only["kind"], only["role"], only["door"], only["asked_by"][:4]) == (
        "FLATTEN",
        "ADMIN",
        "CLI",
        "cli:",
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kill", "LOCKED"], "add --yes"),
        (["flatten"], "add --yes"),
        (["kill", "ACTIVE", "--yes"], "RESUME is what leads back"),
        (["pause", "--scope", "nobody"], "no scope"),
        (["resume"], "--reason"),
        (["exit", "3f"], "first 4 characters"),
        (["cancel", "--key", "x" * 201], "idempotency key"),
    ],
)
def test_what_cannot_be_meant_is_not_asked(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--account", "quiet"]) == EXIT_BAD_INPUT
    assert told in capsys.readouterr().err
    assert asked("quiet", capsys) == []


def test_an_account_without_books_has_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    for command, rows in (("positions", "positions"), ("orders", "orders")):
        assert main([command, "--account", "none", "--json"]) == EXIT_OK
        assert json.loads(capsys.readouterr().out)[rows] == []
        assert main([command, "--account", "none"]) == EXIT_OK
        assert f"0 {'legs' if rows == 'positions' else rows}" in capsys.readouterr().out
    assert main(["tail", "--account", "none", "--no-follow", "--json"]) == EXIT_OK
    assert capsys.readouterr().out.count("{") == 0


def test_tail_begins_with_the_newest_and_ends_where_it_should(
    pg_role_urls: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(psycopg_dsn(pg_role_urls["owner"])) as connection:
        for number in range(4):
            connection.execute(
                "INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, "
                "is_sent) VALUES ('told', 'TEST', 'info', %s, '{}', 0, false)",
                (f"word {number} [x]",),
            )
    words = ["tail", "--account", "told", "--no-follow", "-n", "2"]
    assert main(words) == EXIT_OK
    assert capsys.readouterr().out.splitlines() == [
        f"1970-01-01 05:30:00 IST  info      TEST: word {number} [x]" for number in (2, 3)
    ]
    assert main([*words, "--json"]) == EXIT_OK
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == [
        "word 2 [x]",
        "word 3 [x]",
    ]
