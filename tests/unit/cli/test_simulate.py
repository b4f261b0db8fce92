"""What `simulate` is asked for."""

import pytest

from adapters.settings import Settings
from cli.simulate import _members, _settings
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Category
from propdesk.sim.books import Book

SETTINGS = Settings(category_allocations={"NSE_EQ": 0.5, "INDEX_FUT": 0.2}, adverse_allocation=0.1)


def test_nothing_asked_leaves_the_accounts_settings() -> None:
    assert _settings(SETTINGS, None, None, ()) is SETTINGS


def test_what_is_asked_takes_their_place() -> None:
    asked = _settings(SETTINGS, "original", 500_000, ("NSE_EQ=0.4", "STOCK_OPT=0.3"))
    assert (asked.gate_profile, asked.corpus_paise) == ("original", 50_000_000)
    assert asked.category_allocations == {"NSE_EQ": 0.4, "INDEX_FUT": 0.2, "STOCK_OPT": 0.3}
    changed = {"gate_profile", "corpus_paise", "category_allocations"}
    assert asked.model_dump(exclude=changed) == SETTINGS.model_dump(exclude=changed)


@pytest.mark.parametrize(
    ("profile", "allocate", "said"),
    [
        ("third", (), "gate_profile"),
        (None, ("NSE_EQ=much",), "write it like"),
        (None, ("NSE_EQ",), "write it like"),
        (None, ("GOLD=0.1",), "knows no category GOLD"),
        (None, ("NSE_EQ=0.8",), "together are 1.1"),
        (None, ("NSE_EQ=-0.1",), "between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    profile: str | None, allocate: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigFault, match=said):
        _settings(SETTINGS, profile, None, allocate)


def test_members_come_once_and_in_their_own_order() -> None:
    assert _members(Book, ["random", "desk", "random"], "--book") == (Book.DESK, Book.RANDOM)
    assert _members(Category, None, "--category") == ()
    with pytest.raises(ConfigFault, match="--book: there is no 'best'; use desk, original"):
        _members(Book, ["best"], "--book")
