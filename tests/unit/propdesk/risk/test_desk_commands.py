"""What the words of a person mean."""

from datetime import UTC, datetime

import pytest

from propdesk.core.clock import NS_PER_HOUR, NS_PER_MINUTE, to_ns
from propdesk.model.command import CommandKind
from propdesk.model.enums import KillLevel
from propdesk.risk.desk_commands import (
    WORDS_MAX,
    DeskCommand,
    Unusable,
    is_expired,
    is_of_an_earlier_day,
    parse,
)

TEN = to_ns(datetime(2025, 7, 1, 4, 30, tzinfo=UTC))  # 10:00 IST
VALID = 5 * NS_PER_MINUTE


@pytest.mark.parametrize(
    ("kind", "arguments", "meant"),
    [
        ("PAUSE", {}, DeskCommand(CommandKind.PAUSE, "ACCOUNT", KillLevel.ENTRIES_BLOCKED)),
        ("FLATTEN", {"reason": " out "}, DeskCommand(CommandKind.FLATTEN, "ACCOUNT", KillLevel.LIQUIDATING,
            reason="out")),
        ("KILL", {"level": "reduce_only", "scope": "category:nse_eq"},
            DeskCommand(CommandKind.KILL, "CATEGORY:NSE_EQ", KillLevel.REDUCE_ONLY)),
        ("RESUME", {"scope": "rule:MINI|A01|NSE_EQ|INTRADAY", "reason": "looked"},
            DeskCommand(CommandKind.RESUME, "RULE:MINI|A01|NSE_EQ|INTRADAY", reason="looked")),
        ("EXIT", {"trade": "3f2a"}, DeskCommand(CommandKind.EXIT, trade="3f2a")),
        ("CANCEL", {"scope": "UNDERLYING:NIFTY"}, DeskCommand(CommandKind.CANCEL, "UNDERLYING:NIFTY")),
    ],
)  # fmt: skip
def test_a_command_is_read_as_typed(kind: str, arguments: dict[str, str], meant: DeskCommand) -> None:
    assert parse(kind, arguments) == meant


@pytest.mark.parametrize(
    ("kind", "arguments", "word"),
    [
        ("SELL", {}, "no command 'SELL'"),
        ("pause", {}, "no command 'pause'"),
        ("", {}, "no command ''"),
        ("PAUSE", {"level": "LOCKED"}, "takes no 'level'"),
        ("FLATTEN", {"scope": "ADVISOR:A01"}, "takes no 'scope'"),
        ("PAUSE", {"scope": "ADVISOR"}, "no scope"),
        ("PAUSE", {"scope": "ADVISOR:"}, "no scope"),
        ("PAUSE", {"scope": "ACCOUNT:other"}, "no scope"),
        ("PAUSE", {"scope": ""}, "no scope"),
        ("PAUSE", {"scope": "CATEGORY:BONDS"}, "CATEGORY is one of"),
        ("CANCEL", {"scope": "STRATEGY:BOTH"}, "STRATEGY is one of"),
        ("KILL", {}, "kill level is one of"),
        ("KILL", {"level": "ACTIVE"}, "RESUME is what leads back"),
        ("RESUME", {"reason": "  "}, "reason is needed"),
        ("EXIT", {"trade": "3f2"}, "first 4 characters"),
        ("PAUSE", {"reason": "x" * (WORDS_MAX + 1)}, "at most 200"),
        ("PAUSE", {"reason": "a\nb"}, "printable"),
    ],
)
def test_what_cannot_be_used_is_told_in_words(kind: str, arguments: dict[str, str], word: str) -> None:
    found = parse(kind, arguments)
    assert isinstance(found, Unusable)
    assert word in found.words


@pytest.mark.parametrize("kind", list(CommandKind))
def test_everything_is_good_for_a_while_to_the_last_moment(kind: CommandKind) -> None:
    assert not is_expired(kind, TEN, TEN + VALID, VALID)


@pytest.mark.parametrize("kind", [CommandKind.RESUME, CommandKind.EXIT, CommandKind.CANCEL])
def test_what_depends_on_the_moment_ends_soon(kind: CommandKind) -> None:
    assert is_expired(kind, TEN, TEN + VALID + 1, VALID)


@pytest.mark.parametrize("kind", [CommandKind.PAUSE, CommandKind.KILL, CommandKind.FLATTEN])
def test_a_stop_never_lapses(kind: CommandKind) -> None:
    assert not is_expired(kind, TEN, TEN + 60 * 24 * NS_PER_HOUR, VALID)


def test_a_stop_is_of_an_earlier_day_from_midnight_on() -> None:
    assert not is_of_an_earlier_day(TEN, TEN + 13 * NS_PER_HOUR, VALID)  # 23:00 IST
    assert is_of_an_earlier_day(TEN, TEN + 14 * NS_PER_HOUR, VALID)  # midnight
    # one that was pressed just before midnight is still what was asked
    assert not is_of_an_earlier_day(TEN + 14 * NS_PER_HOUR - 1, TEN + 14 * NS_PER_HOUR, VALID)
