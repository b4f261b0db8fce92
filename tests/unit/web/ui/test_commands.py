"""What the page says of commands before and after they are asked."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from propdesk.model.command import CommandKind
from propdesk.model.enums import KillLevel
from propdesk.risk.desk_commands import parse
from web.ui.pages import commands

LEGS: list[dict[str, Any]] = [
    {"group_id": group, "signal_id": signal, "side": "BUY", "instrument_key": "NSE_EQ:X", "advisor_id": "A01"}
    for group, signal in (
        *(("aaaa1", "ssss1"), ("aaaa1", "ssss1"), ("aaaa2", "ssss2")),
        *(("aaaa3", "ssss3"), ("aaaa34", "ssss4")),  # the id of one is the beginning of another's
    )
]


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        ("aaaa1", "It is BUY NSE_EQ:X of A01."),
        ("ssss2", "It is BUY NSE_EQ:X of A01."),
        ("aaaa", "4 open trades begin so: the daemon will refuse it."),
        ("aaaa3", "It is BUY NSE_EQ:X of A01."),
        ("zzzz", "No open trade has this id: the daemon will refuse it."),
    ],
)
def test_an_exit_names_the_trade_that_it_closes(beginning: str, words: str) -> None:
    assert commands.trades_meant(LEGS, beginning) == words


@pytest.mark.parametrize("kind", list(CommandKind))
def test_each_command_says_what_becomes_of_it(kind: CommandKind) -> None:
    said = {commands.meaning(kind, level) for level in KillLevel if level is not KillLevel.ACTIVE}
    assert all(said)
    assert len(said) == (4 if kind is CommandKind.KILL else 1)


@pytest.mark.parametrize("kind", list(CommandKind))
def test_the_form_gives_a_command_what_it_takes(kind: CommandKind) -> None:
    """`parse` refuses an argument that the kind does not take."""
    given = {"scope": "ACCOUNT", "level": "LOCKED", "trade": "aaaa1", "reason": "drill"}
    taken = {name: words for name, words in given.items() if kind in commands._TAKES[name]}
    meant = parse(kind, taken)
    assert getattr(meant, "reason", meant) == "drill"


def test_an_address_fills_the_form_and_carries_any_id() -> None:
    address = commands.command_address(CommandKind.PAUSE, scope="RULE:6D|A&B=1|X")
    assert parse_qs(urlsplit(address).query) == {"ask": ["PAUSE"], "scope": ["RULE:6D|A&B=1|X"]}
