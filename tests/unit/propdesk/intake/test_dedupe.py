import pytest

from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import InvariantViolated
from propdesk.intake import IdeaBook, IdeaKey


def idea(
    name: str,
    minute: int,
    advisor: str = "A",
    entry: int | None = 10_000,
    side: str = "BUY",
    stop: int | None = 9_000,
) -> IdeaKey:
    return IdeaKey(
        name, advisor, "NSE_EQ:X", side, minute * NS_PER_MINUTE, entry, entry, (entry, entry, stop)
    )


def linked(*ideas: IdeaKey) -> list[tuple[str | None, str | None]]:
    book = IdeaBook()
    return [(links.duplicate_of, links.copied_from) for links in map(book.link, ideas)]


def test_a_repost_links_to_the_first() -> None:
    assert linked(idea("a", 0), idea("b", 10, entry=10_050), idea("c", 30)) == [
        (None, None),
        ("a", None),
        ("a", None),
    ]


def test_the_window_is_closed_and_counts_from_the_first() -> None:
    assert linked(idea("a", 0), idea("b", 20), idea("c", 31)) == [(None, None), ("a", None), (None, None)]


def test_another_entry_side_or_advisor_is_another_idea() -> None:
    found = linked(
        idea("a", 0),
        idea("b", 1, entry=10_051),
        idea("c", 1, side="SELL"),
        idea("d", 20, advisor="B", stop=9_001),
    )
    assert [link[0] for link in found] == [None] * 4


def test_market_entries_repeat_each_other_only() -> None:
    assert [link[0] for link in linked(idea("a", 0, entry=None), idea("b", 1, entry=None), idea("c", 2))] == [
        None,
        "a",
        None,
    ]


def test_equal_levels_of_another_advisor_within_minutes_are_a_copy() -> None:
    found = linked(
        idea("a", 0),
        idea("b", 10, advisor="B"),
        idea("c", 10, advisor="C", stop=9_001),
        idea("d", 21, advisor="D"),
    )
    assert [link[1] for link in found] == [None, "a", None, None]


def test_a_bare_entry_is_no_fingerprint() -> None:
    assert linked(idea("a", 0, stop=None), idea("b", 1, advisor="B", stop=None))[1] == (None, None)


def test_order_is_required() -> None:
    with pytest.raises(InvariantViolated):
        linked(idea("a", 1), idea("b", 0))


def test_a_recalled_repost_is_no_first_and_a_recalled_first_is_one() -> None:
    book = IdeaBook()
    book.recall(idea("b", 20), is_repost=True)
    book.recall(idea("f", 21, side="SELL"), is_repost=False)
    assert book.link(idea("c", 40)).duplicate_of is None
    assert book.link(idea("g", 40, side="SELL")).duplicate_of == "f"
    with pytest.raises(InvariantViolated):
        book.recall(idea("x", 39), is_repost=False)


def test_a_recalled_repost_is_still_what_another_advisor_copies() -> None:
    book = IdeaBook()
    book.recall(idea("b", 20), is_repost=True)
    assert book.link(idea("c", 25, advisor="B")).copied_from == "b"
