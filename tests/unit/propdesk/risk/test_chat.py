"""What is typed into a chat becomes a question, a command as the table takes it, or a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propdesk.model.command import CommandKind
from propdesk.risk.chat import CONFIRMED, HELP, Asking, Commanding, Confirming, Question, read_chat
from propdesk.risk.desk_commands import DeskCommand, Unusable, parse

REDUCE = {"level": "REDUCE_ONLY", "scope": "ADVISOR:A01", "reason": "he lies"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("/status", Asking(Question.STATUS)),
        ("/STATUS@propdesk_bot", Asking(Question.STATUS)),
        ("/start", Asking(Question.HELP)),
        ("/crowd nifty", Asking(Question.CROWD, "NIFTY")),
        ("yes 0042", Confirming("0042")),
        ("/pause", Commanding(CommandKind.PAUSE, {})),
        ("/pause news of the budget", Commanding(CommandKind.PAUSE, {"reason": "news of the budget"})),
        ("/pause account fire", Commanding(CommandKind.PAUSE, {"scope": "ACCOUNT", "reason": "fire"})),
        ("/kill reduce_only advisor:A01 he lies", Commanding(CommandKind.KILL, REDUCE)),
        ("/flatten it burns", Commanding(CommandKind.FLATTEN, {"reason": "it burns"})),
        ("/exit 4f2a", Commanding(CommandKind.EXIT, {"trade": "4f2a"})),
        ("/resume account ok", Commanding(CommandKind.RESUME, {"scope": "ACCOUNT", "reason": "ok"})),
        ("/cancel category:nse_eq", Commanding(CommandKind.CANCEL, {"scope": "CATEGORY:NSE_EQ"})),
    ],
)
def test_what_is_meant(text: str, meant: object) -> None:
    assert read_chat(text) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "That is no text."),
        ("hello", "Commands begin with a slash."),
        ("/sell everything", "There is no /sell."),
        ("/crowd", "Of which underlying?"),
        ("/kill", "A kill level is one of"),
        ("/kill active", "A kill level is one of"),
        ("/resume", "A reason is needed"),
        ("/exit 4f", "EXIT needs the first 4 characters"),
        ("/pause planet:mars", "'planet:mars' is no scope"),
        ("/resume A01 he is fine", "'A01' is no scope"),
        ("/kill LIQUIDATING A01", "'A01' is no scope"),
        ("/cancel 4f2a91", "'4f2a91' is no scope"),
        ("/flatten ADVISOR:A01", "FLATTEN closes everything; of a part: /kill LIQUIDATING ADVISOR:A01"),
    ],
)
def test_what_cannot_be_meant_is_said(text: str, words: str) -> None:
    said = read_chat(text)
    assert isinstance(said, Unusable)
    assert said.words.startswith(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("/flatten NIFTY", "FLATTEN: close EVERYTHING, because: NIFTY"),
        ("/kill locked", "KILL LOCKED of EVERYTHING"),
        ("/kill locked advisor:A01 he lies", "KILL LOCKED of ADVISOR:A01, because: he lies"),
        ("/exit 4f2a", "EXIT of trade 4f2a"),
        ("/resume account seen", "RESUME of EVERYTHING, because: seen"),
    ],
)
def test_a_command_says_how_far_it_reaches(text: str, words: str) -> None:
    assert str(read_chat(text)) == words


def test_the_help_names_every_question_and_every_command() -> None:
    for word in (*Question, *(kind.value.lower() for kind in CommandKind)):
        assert f"/{word}" in HELP or word == Question.HELP
    assert set(CommandKind) - CONFIRMED == {CommandKind.PAUSE}


WORDS = [
    *("/kill", "/pause", "/exit", "/resume", "LOCKED", "ACCOUNT"),
    *("advisor:x", "yes", "12", "why", ":", "a:", "@"),
]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_whatever_is_typed_becomes_a_command_that_the_daemon_understands_or_none(text: str) -> None:
    said = read_chat(text)
    if isinstance(said, Commanding):
        assert isinstance(parse(said.kind, said.arguments), DeskCommand)
