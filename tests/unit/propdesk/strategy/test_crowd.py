"""Crowd ledger by hand (§5.5)."""

from dataclasses import replace

import pytest

from propdesk.model.enums import Direction, OptionType, Side
from propdesk.model.signal import sentiment
from propdesk.strategy.crowd import (
    CrowdChange,
    CrowdChangeKind,
    CrowdConfig,
    CrowdLedger,
    apply_change,
    crowd_factor,
    find_cluster,
    fold_changes,
    idea_key,
    read_crowd,
)

CONFIG = CrowdConfig()
UP, DOWN = Direction.BULLISH, Direction.BEARISH


def opened(
    number: int, direction: Direction = UP, advisor: str | None = None, cluster: str | None = None
) -> CrowdChange:
    name = f"s{number}"
    return CrowdChange(
        CrowdChangeKind.OPENED, name, advisor or f"A{number}", "NIFTY", direction, cluster or name, number
    )


def closed(number: int) -> CrowdChange:
    return replace(opened(number), kind=CrowdChangeKind.CLOSED)


def test_twelve_of_fourteen() -> None:
    ledger = fold_changes([opened(n) for n in range(12)] + [opened(n, DOWN) for n in range(12, 14)])
    reading = read_crowd(ledger, "NIFTY", CONFIG)
    assert reading.score == pytest.approx(12 / 14)
    assert (reading.direction, reading.has_quorum) == (UP, True)
    assert crowd_factor(reading, UP, CONFIG) == 1.25
    assert crowd_factor(reading, DOWN, CONFIG) == 1.0


def test_empty_and_tied_books_have_no_direction() -> None:
    empty = read_crowd(CrowdLedger(), "NIFTY", CONFIG)
    assert (empty.score, empty.direction, empty.bullish_confidence) == (None, None, None)
    tied = read_crowd(fold_changes([opened(1), opened(2, DOWN)]), "NIFTY", CONFIG)
    assert (tied.score, tied.direction) == (0.5, None)


def test_one_voice_scores_one_but_multiplies_nothing() -> None:
    reading = read_crowd(fold_changes([opened(1)]), "NIFTY", CONFIG)
    assert (reading.score, reading.has_quorum) == (1.0, False)
    assert crowd_factor(reading, UP, CONFIG) == 1.0


def test_a_copied_cluster_counts_once() -> None:
    ledger = fold_changes([opened(1), opened(2, cluster="s1"), opened(3, cluster="s1"), opened(4, DOWN)])
    reading = read_crowd(ledger, "NIFTY", CONFIG)
    assert (reading.bullish_positions, reading.bearish_positions, reading.direction) == (1, 1, None)


def test_when_the_original_closes_its_copy_speaks_for_the_cluster() -> None:
    ledger = fold_changes([opened(1), opened(2, cluster="s1"), closed(1)])
    assert read_crowd(ledger, "NIFTY", CONFIG).bullish_positions == 1


def test_a_signal_is_not_counted_in_its_own_score() -> None:
    ledger = fold_changes([opened(1), opened(2, DOWN)])
    assert read_crowd(ledger, "NIFTY", CONFIG, excluding="s2").score == 1.0


def test_advisors_can_feed_the_score() -> None:
    ledger = fold_changes([opened(1, advisor="A"), opened(2, advisor="A"), opened(3, DOWN, advisor="B")])
    by_positions = read_crowd(ledger, "NIFTY", CONFIG)
    by_advisors = read_crowd(ledger, "NIFTY", replace(CONFIG, feed="advisors"))
    assert by_positions.score == pytest.approx(2 / 3)
    assert by_advisors.score == 0.5


def test_repeats_and_a_close_before_its_open_change_nothing() -> None:
    once = fold_changes([opened(1)])
    assert apply_change(once, opened(1)) == once
    assert fold_changes([closed(1), opened(1)]).open["NIFTY"] == {}


def test_copies_are_recognised_within_the_window_and_from_others_only() -> None:
    key = idea_key("NSE_EQ:X", "BUY", (100, 100), 90, (110,))
    ledger, first = find_cluster(CrowdLedger(), key, "s1", "A", 1_000, 500)
    assert first == "s1"
    assert find_cluster(ledger, key, "s2", "B", 1_400, 500)[1] == "s1"
    assert find_cluster(ledger, key, "s3", "A", 1_400, 500)[1] == "s3"
    assert find_cluster(ledger, key, "s4", "B", 1_600, 500)[1] == "s4"
    other = idea_key("NSE_EQ:X", "BUY", (100, 100), 91, (110,))
    assert find_cluster(ledger, other, "s5", "B", 1_400, 500)[1] == "s5"


@pytest.mark.parametrize(
    ("side", "option", "direction"),
    [
        (Side.BUY, None, UP),
        (Side.SELL, None, DOWN),
        (Side.BUY, OptionType.CE, UP),
        (Side.SELL, OptionType.PE, UP),
        (Side.BUY, OptionType.PE, DOWN),
        (Side.SELL, OptionType.CE, DOWN),
    ],
)
def test_direction_table(side: Side, option: OptionType | None, direction: Direction) -> None:
    assert sentiment(side, option) is direction
