"""Figures of a run, by hand."""

import math
from dataclasses import replace
from datetime import date

import pytest

from propdesk.model.enums import Category
from propdesk.sim.results import (
    attribute,
    daily_returns,
    drawdown_curve,
    monthly_returns,
    run_digest,
    summarise,
)
from tests.support.outcomes import make_days, make_trade


def test_a_run_without_a_day_is_its_capital() -> None:
    found = summarise([], 1_000)
    assert (found.days, found.final_paise, found.marked_paise, found.trades) == (0, 1_000, 1_000, 0)
    assert (found.return_ratio, found.mdd_ratio, found.marked_mdd_ratio) == (0.0, 0.0, 0.0)
    assert all(map(math.isnan, (found.sharpe, found.sortino, found.calmar, found.win_ratio, found.mean_r)))


def test_drawdown_counts_from_the_capital_and_both_curves_have_their_own() -> None:
    days = make_days(900, 1_100, 990)
    days[2] = replace(days[2], marked_paise=880)
    found = summarise(days, 1_000)
    assert found.mdd_ratio == pytest.approx(-0.10)
    assert found.marked_mdd_ratio == pytest.approx(-0.20)
    assert (found.final_paise, found.marked_paise) == (990, 880)
    assert found.return_ratio == pytest.approx(-0.01)
    # three days are an 84th of a year
    assert found.calmar == pytest.approx((0.99**84 - 1) / 0.10)


def test_the_first_return_is_measured_from_the_capital_and_a_used_up_corpus_returns_nothing() -> None:
    assert daily_returns(make_days(1_100, 0, 0), 1_000).tolist() == pytest.approx([0.1, -1.0, 0.0])


def test_sharpe_needs_twenty_days() -> None:
    rising = [1_000 + 7 * number + number % 3 for number in range(1, 21)]
    assert math.isnan(summarise(make_days(*rising[:19]), 1_000).sharpe)
    assert summarise(make_days(*rising), 1_000).sharpe > 10


def test_months_chain_to_the_whole_return() -> None:
    days = make_days(1_100, 1_210, 1_089, first=date(2025, 5, 30))
    months = monthly_returns(days, 1_000)
    assert list(months) == [(2025, 5), (2025, 6)]
    assert months[2025, 5] == pytest.approx(0.21)
    assert math.prod(1 + value for value in months.values()) == pytest.approx(1.089)


def test_drawdown_curve_touches_zero_at_each_peak() -> None:
    assert drawdown_curve([100, 120, 90, 120, 130]).tolist() == pytest.approx([0, 0, -0.25, 0, 0])


def test_ideas_that_wait_are_not_counted_twice() -> None:
    days = make_days(1_000, decisions={"PENDING_ENTRY": 5, "TRADED": 2, "TRADED_REVERSE": 1, "NO_MATCH": 4})
    found = summarise(days, 1_000)
    assert (found.ideas, found.traded) == (7, 3)


def test_shares_are_the_best_first_and_add_up_to_the_run() -> None:
    trades = [
        make_trade(-300, rule_text="B"),
        make_trade(100, rule_text="A"),
        make_trade(300, rule_text="A", risk_paise=0),
        make_trade(0, rule_text="C", category=Category.INDEX_OPT),
    ]
    found = attribute(trades, lambda trade: trade.rule_text)
    assert [(share.name, share.trades, share.wins, share.net_pnl_paise) for share in found] == [
        ("A", 2, 2, 400), ("C", 1, 0, 0), ("B", 1, 0, -300),
    ]  # fmt: skip
    assert sum(share.net_pnl_paise for share in found) == sum(trade.net_pnl_paise for trade in trades)
    assert found[0].mean_r == 0.5, "a trade without a stop's risk has no R"
    summary = summarise(make_days(1_100, trades=tuple(trades)), 1_000)
    assert (summary.trades, summary.net_pnl_paise, summary.charges_paise) == (4, 100, 40)
    assert summary.win_ratio == 0.5
    assert summary.profit_factor == pytest.approx(400 / 300)


def test_switch_days_and_utilisation_are_the_runs_worst() -> None:
    days = [*make_days(1_000, switches=("DAY_LOSS",)), *make_days(1_000, peak_utilisation_ratio=0.8)]
    found = summarise(days, 1_000)
    assert (found.switch_days, found.peak_utilisation_ratio) == (1, 0.8)


def test_the_digest_names_days_and_what_was_said() -> None:
    days = make_days(1_000, 1_000)
    assert run_digest(days) == run_digest(list(days))
    assert run_digest(days) != run_digest(days[:1])
    assert run_digest(days) != run_digest([days[0], replace(days[1], digest="other")])
