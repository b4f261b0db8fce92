from datetime import date

import numpy as np
import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.replay.batch import replay_one, results_equal
from propdesk.replay.corpus import ReplayResult, replay_corpus
from propdesk.replay.inputs import NEVER_DAY, NEVER_NS, CorpusTrades, epoch_day, market_days, start_of_day_ns
from tests.support.rule_frames import weekday_calendar

MARKET = market_days(
    weekday_calendar(date(2025, 1, 1), date(2025, 6, 30)), date(2025, 1, 1), date(2025, 6, 30)
)
AS_OF = epoch_day(date(2025, 3, 31))
HOUR = 3_600_000_000_000


def at(day: date, hour: float) -> int:
    return start_of_day_ns(epoch_day(day)) + int(hour * HOUR)


def replay(
    rows: list[tuple[int, int | None, int, int]],
    capital: int = 1_000,
    marks: dict[int, dict[date, int]] | None = None,
    as_of: int = AS_OF,
    unsettled: dict[int, date] | None = None,
) -> ReplayResult:
    """Rows (entry, exit, margin, pnl) in order of their ids; both implementations have to agree."""
    offsets, days, values = [0], [], []
    lost = [(unsettled or {}).get(i) for i in range(len(rows))]
    for i in range(len(rows)):
        for day, value in sorted((marks or {}).get(i, {}).items()):
            days.append(epoch_day(day))
            values.append(value)
        offsets.append(len(days))
    trades = CorpusTrades(
        *(np.array([NEVER_NS if r[k] is None else r[k] for r in rows], dtype=np.int64) for k in range(4)),
        np.arange(len(rows), dtype=np.int64),
        np.array(offsets, dtype=np.int64),
        np.array(days, dtype=np.int64),
        np.array(values, dtype=np.int64),
        np.array([NEVER_DAY if day is None else epoch_day(day) for day in lost], dtype=np.int64),
    )
    slow = replay_corpus(trades, MARKET, as_of=as_of, capital_paise=capital)
    assert results_equal(slow, replay_one(trades, MARKET, as_of=as_of, capital_paise=capital)) == []
    return slow


MONDAY, TUESDAY = date(2025, 3, 24), date(2025, 3, 25)


def test_no_trade_leaves_the_capital() -> None:
    result = replay([])
    assert result.final_corpus_paise == 1_000
    assert (result.return_ratio, result.mdd_ratio, result.trades_executed) == (0.0, 0.0, 0)
    assert np.isnan(result.sharpe)
    assert np.isnan(result.volatility_ratio)


def test_gain_then_loss_by_hand() -> None:
    result = replay(
        [(at(MONDAY, 10), at(MONDAY, 11), 400, 100), (at(TUESDAY, 10), at(TUESDAY, 11), 400, -220)]
    )
    assert result.corpus_paise.tolist() == [1_000, 1_100, 880]
    assert result.final_corpus_paise == 880
    assert result.mdd_ratio == pytest.approx(-0.2)
    assert (result.mdd_peak_ns, result.mdd_trough_ns) == (at(MONDAY, 11), at(TUESDAY, 11))
    assert result.mdd_recovery_ns is None
    changes = [0.1, -0.2]
    assert result.volatility_ratio == pytest.approx(np.std(changes, ddof=1))
    assert result.peak_utilisation_ratio == pytest.approx(0.4)


def test_drawdown_recovers_at_the_old_peak() -> None:
    rows = [(at(MONDAY, h), at(MONDAY, h + 0.5), 10, pnl) for h, pnl in ((10, -100), (11, 50), (12, 50))]
    assert replay(rows).mdd_recovery_ns == at(MONDAY, 12.5)


def test_skipped_entry_never_enters_later() -> None:
    result = replay([(at(MONDAY, 10), at(MONDAY, 12), 800, 10), (at(MONDAY, 11), at(TUESDAY, 11), 300, 999)])
    assert (result.trades_executed, result.trades_skipped_capital) == (1, 1)
    assert result.final_corpus_paise == 1_010


def test_exit_goes_before_entry_at_one_instant() -> None:
    result = replay([(at(MONDAY, 10), at(MONDAY, 12), 800, 0), (at(MONDAY, 12), at(MONDAY, 13), 800, 5)])
    assert (result.trades_executed, result.max_concurrency) == (2, 1)


def test_trade_without_duration_leaves_right_after_its_own_entry() -> None:
    noon = at(MONDAY, 12)
    result = replay([(noon, noon, 1_000, 0), (noon, noon, 1_000, 7)])
    assert (result.trades_executed, result.max_concurrency, result.final_corpus_paise) == (2, 1, 1_007)


def test_ids_decide_who_gets_the_last_capital() -> None:
    noon = at(MONDAY, 12)
    result = replay([(noon, at(MONDAY, 13), 1_000, 1), (noon, at(MONDAY, 13), 1_000, 2)])
    assert result.final_corpus_paise == 1_001


def test_loss_beyond_the_margin_is_a_shortfall_and_blocks_entries() -> None:
    rows = [
        (at(MONDAY, 9.5), at(TUESDAY, 12), 900, 0),
        (at(MONDAY, 9.6), at(MONDAY, 10), 50, -300),
        (at(MONDAY, 11), at(MONDAY, 12), 1, 50),
    ]
    result = replay(rows)
    assert (result.margin_shortfalls, result.trades_skipped_capital) == (1, 1)
    assert result.final_corpus_paise == 700


def test_blown_corpus_ends_the_replay() -> None:
    rows = [
        (at(MONDAY, 10), at(TUESDAY, 10), 100, 500),
        (at(MONDAY, 10.5), at(MONDAY, 11), 100, -1_500),
        (at(MONDAY, 12), at(MONDAY, 13), 100, 2_000),
    ]
    result = replay(rows)
    assert result.blown_ns == at(MONDAY, 11)
    assert (result.final_corpus_paise, result.open_at_end, result.trades_executed) == (-500, 1, 2)
    assert set(result.daily_corpus_paise[-5:].tolist()) == {-500}


def test_open_trades_are_marked_at_the_as_of_close() -> None:
    last = date(2025, 3, 31)
    rows = [(at(MONDAY, 10), None, 100, 0), (at(MONDAY, 10), at(date(2025, 4, 1), 10), 100, 999)]
    result = replay(rows, marks={0: {MONDAY: -400, last: 50}})
    assert (result.open_at_end, result.unmarked_at_end) == (2, 1)
    assert result.final_corpus_paise == 1_050
    assert result.daily_corpus_paise[-1] == 1_050
    assert result.mdd_ratio == 0.0
    assert result.marked_mdd_ratio == pytest.approx(-0.4)


def test_an_unsettled_trade_was_open_before_and_is_left_out_from_its_day_on() -> None:
    rows = [(at(MONDAY, 10), None, 600, 0), (at(MONDAY, 11), at(TUESDAY, 11), 600, 30)]
    marks = {0: {MONDAY: -200}}
    before = replay(rows, marks=marks, as_of=epoch_day(MONDAY), unsettled={0: TUESDAY})
    assert (before.open_at_end, before.trades_skipped_capital, before.final_corpus_paise) == (1, 1, 800)
    after = replay(rows, marks=marks, as_of=epoch_day(TUESDAY), unsettled={0: TUESDAY})
    assert (after.open_at_end, after.trades_skipped_capital, after.final_corpus_paise) == (0, 0, 1_030)
    assert after.marked_mdd_ratio == 0.0


def test_an_unsettled_trade_has_no_exit() -> None:
    with pytest.raises(InvariantViolated, match="unsettled"):
        replay([(at(MONDAY, 10), at(MONDAY, 11), 10, 1)], unsettled={0: TUESDAY})


def test_window_is_ninety_days_by_entry_date() -> None:
    first = date(2025, 1, 1)  # the 90th day back, itself included
    rows = [
        (at(first, 10), at(first, 11), 10, 1),
        (at(date(2025, 4, 1), 10), at(date(2025, 4, 1), 11), 10, 5),
    ]
    assert replay(rows).final_corpus_paise == 1_001
    assert replay(rows, as_of=AS_OF + 1).final_corpus_paise == 1_005


def test_mean_utilisation_weighs_market_time() -> None:
    # half the corpus from 09:15 to 15:30 of one of the 64 market days
    result = replay([(at(MONDAY, 9.25), at(MONDAY, 15.5), 500, 0)])
    assert result.mean_utilisation_ratio == pytest.approx(0.5 / 64)


def test_sharpe_of_daily_returns_by_hand() -> None:
    rows = [(at(MONDAY, 10), at(MONDAY, 11), 10, 100)]
    returns = np.zeros(64)
    returns[0] = 0.1
    result = replay(rows)
    assert result.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1) * np.sqrt(252))
    assert np.isnan(result.sortino)


def test_capital_must_be_positive() -> None:
    with pytest.raises(InvariantViolated, match="positive capital"):
        replay([], capital=0)
