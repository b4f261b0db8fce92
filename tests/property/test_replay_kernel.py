"""The compiled replay equals the readable one, and both keep the promises of §3.4."""

from dataclasses import fields, replace
from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from propdesk.core.calendar import HoursRule, MarketCalendar, Segment
from propdesk.replay.batch import (
    CurveReplayer,
    continuing_order,
    group_bounds,
    kernel_trades,
    outputs_of,
    replay_jobs,
    replay_one,
    results_equal,
)
from propdesk.replay.corpus import replay_corpus
from propdesk.replay.inputs import NEVER_DAY, NEVER_NS, CorpusTrades, epoch_day, market_days, start_of_day_ns
from propdesk.replay.kernel import FLOAT_OUTPUTS

FIRST, LAST = date(2025, 1, 1), date(2025, 6, 30)
DAYS = [FIRST + timedelta(i) for i in range(181) if (FIRST + timedelta(i)).weekday() < 5]
CALENDAR = MarketCalendar(DAYS, [HoursRule(s, date(2000, 1, 1), 555, 930, 910) for s in Segment])
MARKET = market_days(CALENDAR, FIRST, LAST)
BASE = epoch_day(date(2025, 3, 3))
AS_OF = epoch_day(date(2025, 5, 16))
MINUTE = 60_000_000_000


def build(rows: list[tuple[int, int | None, int, int, dict[int, int], int]], seed: int = 0) -> CorpusTrades:
    """Rows (entry, exit or None, margin, pnl, marks by epoch day, unsettled day), ids in a seeded order."""
    offsets, days, marks = [0], [], []
    for row in rows:
        for day in sorted(row[4]):
            days.append(day)
            marks.append(row[4][day])
        offsets.append(len(days))
    return CorpusTrades(
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([NEVER_NS if r[1] is None else r[1] for r in rows], dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.int64),
        np.array([r[3] for r in rows], dtype=np.int64),
        np.random.default_rng(seed).permutation(len(rows)).astype(np.int64),
        np.array(offsets, dtype=np.int64),
        np.array(days, dtype=np.int64),
        np.array(marks, dtype=np.int64),
        np.array([r[5] for r in rows], dtype=np.int64),
    )


@st.composite
def books(draw: st.DrawFn) -> CorpusTrades:
    """Up to 40 trades with many ties, losses beyond margins, open ends and gaps in the marks."""
    rows = []
    for _ in range(draw(st.integers(0, 40))):
        # weekends and days outside the window included
        day = BASE + draw(st.integers(-25, 80))
        entry = start_of_day_ns(day) + draw(st.integers(9 * 60, 16 * 60)) // 30 * 30 * MINUTE
        held = draw(st.sampled_from([0, 0, 30, 60, 24 * 60, 3 * 24 * 60, 12 * 24 * 60, None]))
        exits = None if held is None else entry + held * MINUTE
        margin = draw(st.sampled_from([10, 40, 100, 300, 1200]))
        pnl = draw(st.integers(-400, 300))
        last = day + 90 if exits is None else (exits - start_of_day_ns(0)) // (1440 * MINUTE)
        marks = {
            d: draw(st.integers(-300, 300))
            for d in range(day, min(last, AS_OF + 3))
            if draw(st.integers(0, 3)) > 0
        }
        lost = (
            day + draw(st.sampled_from([0, 1, 5, 20])) if held is None and draw(st.booleans()) else NEVER_DAY
        )
        rows.append((entry, exits, margin, pnl, marks, lost))
    return build(rows, draw(st.integers(0, 3)))


@given(books(), st.sampled_from([100, 500, 1000, 10**9]), st.sampled_from([AS_OF, AS_OF + 1, AS_OF + 40]))
@settings(max_examples=150, deadline=None)
def test_kernel_equals_readable_replay(trades: CorpusTrades, capital: int, as_of: int) -> None:
    slow = replay_corpus(trades, MARKET, as_of=as_of, capital_paise=capital, risk_free=0.05)
    fast = replay_one(trades, MARKET, as_of=as_of, capital_paise=capital, risk_free=0.05)
    assert results_equal(slow, fast) == []


@given(books(), st.integers(0, 1000))
@settings(max_examples=80, deadline=None)
def test_order_of_input_rows_changes_nothing(trades: CorpusTrades, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(trades.entry_ns))
    spans = [range(trades.mark_offset[i], trades.mark_offset[i + 1]) for i in order]
    picked = np.array([j for span in spans for j in span], dtype=np.int64)
    shuffled = CorpusTrades(
        trades.entry_ns[order],
        trades.exit_ns[order],
        trades.margin_paise[order],
        trades.net_pnl_paise[order],
        trades.rank[order],
        np.concatenate(([0], np.cumsum([len(span) for span in spans]))).astype(np.int64),
        trades.mark_day[picked],
        trades.mark_pnl_paise[picked],
        trades.unsettled_day[order],
    )
    a = replay_one(trades, MARKET, as_of=AS_OF, capital_paise=500)
    assert results_equal(a, replay_one(shuffled, MARKET, as_of=AS_OF, capital_paise=500)) == []


@given(books())
@settings(max_examples=80, deadline=None)
def test_unlimited_capital_adds_up_all_results(trades: CorpusTrades) -> None:
    capital = 10**12
    result = replay_one(trades, MARKET, as_of=AS_OF, capital_paise=capital)
    end = start_of_day_ns(AS_OF + 1)
    inside = (trades.entry_ns >= start_of_day_ns(AS_OF - 89)) & (trades.entry_ns < end)
    inside &= trades.unsettled_day > AS_OF
    closed = inside & (trades.exit_ns < end)
    marks = 0
    for i in np.flatnonzero(inside & ~closed):
        at = slice(trades.mark_offset[i], trades.mark_offset[i + 1])
        marks += int(trades.mark_pnl_paise[at][trades.mark_day[at] == AS_OF].sum())
    assert result.final_corpus_paise == capital + int(trades.net_pnl_paise[closed].sum()) + marks
    assert result.trades_skipped_capital == 0
    assert result.trades_executed == int(inside.sum())
    assert result.mdd_ratio <= 0.0


@given(books(), st.integers(2, 1000))
@settings(max_examples=80, deadline=None)
def test_scaling_money_scales_the_curve(trades: CorpusTrades, k: int) -> None:
    scaled = replace(
        trades,
        margin_paise=trades.margin_paise * k,
        net_pnl_paise=trades.net_pnl_paise * k,
        mark_pnl_paise=trades.mark_pnl_paise * k,
    )
    a = replay_one(trades, MARKET, as_of=AS_OF, capital_paise=700)
    b = replay_one(scaled, MARKET, as_of=AS_OF, capital_paise=700 * k)
    assert np.array_equal(a.corpus_paise * k, b.corpus_paise)
    assert a.trades_executed == b.trades_executed


@given(books())
@settings(max_examples=80, deadline=None)
def test_deleting_the_future_changes_nothing(trades: CorpusTrades) -> None:
    end = start_of_day_ns(AS_OF + 1)
    keep = trades.entry_ns < end
    offsets = [range(trades.mark_offset[i], trades.mark_offset[i + 1]) for i in np.flatnonzero(keep)]
    picked = [[j for j in span if trades.mark_day[j] <= AS_OF] for span in offsets]
    flat = np.array([j for span in picked for j in span], dtype=np.int64)
    known = CorpusTrades(
        trades.entry_ns[keep],
        np.where(trades.exit_ns[keep] < end, trades.exit_ns[keep], NEVER_NS),
        trades.margin_paise[keep],
        np.where(trades.exit_ns[keep] < end, trades.net_pnl_paise[keep], 0),
        trades.rank[keep],
        np.concatenate(([0], np.cumsum([len(span) for span in picked]))).astype(np.int64),
        trades.mark_day[flat],
        trades.mark_pnl_paise[flat],
        np.where(trades.unsettled_day[keep] <= AS_OF, trades.unsettled_day[keep], NEVER_DAY),
    )
    a = replay_one(trades, MARKET, as_of=AS_OF, capital_paise=500)
    assert results_equal(a, replay_one(known, MARKET, as_of=AS_OF, capital_paise=500)) == []


@given(
    st.lists(books(), min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 1), st.integers(-95, 10)), min_size=2, max_size=20),
    st.sampled_from([100, 500, 10**9]),
    st.sampled_from([8, 40, 365]),
)
@settings(max_examples=150, deadline=None)
def test_a_replay_that_goes_on_equals_one_begun_anew(
    groups: list[CorpusTrades], asked: list[tuple[int, int]], capital: int, window_days: int
) -> None:
    check_continuation(groups, [(g % len(groups), AS_OF + shift) for g, shift in asked], capital, window_days)


def test_a_trade_known_as_unsettled_later_leaves_the_replay_that_goes_on() -> None:
    start = start_of_day_ns(BASE) + 600 * MINUTE
    trades = build([(start, None, 40, 0, {}, BASE + 5), (start, None, 80, 0, {}, NEVER_DAY)])
    check_continuation([trades], [(0, BASE + shift) for shift in (1, 4, 5, 10)], 100, 365)


def check_continuation(
    groups: list[CorpusTrades], asked: list[tuple[int, int]], capital: int, window_days: int
) -> None:
    """Compare replays in one working memory with the same replays each in its own."""
    jobs = np.array(asked, dtype=np.int64)
    members = np.concatenate([np.full(len(g.entry_ns), i, dtype=np.int64) for i, g in enumerate(groups)])
    prepared, order = kernel_trades(joined(groups), members, MARKET)
    bounds = group_bounds(members[order], len(groups))
    settled = {"capital_paise": capital, "risk_free": 0.05, "window_days": window_days}
    many = replay_jobs(prepared, bounds, MARKET, jobs, **settled)
    replayer = CurveReplayer(prepared, bounds, MARKET, **settled)
    for place in continuing_order(jobs):
        group, as_of = (int(value) for value in jobs[place])
        alone = CurveReplayer(prepared, bounds, MARKET, **settled).replay(group, as_of)
        assert results_equal(alone, replayer.replay(group, as_of)) == []
        for name, values in outputs_of([alone]).items():
            assert np.array_equal(many[name][place], values[0], equal_nan=name in FLOAT_OUTPUTS), name


def joined(groups: list[CorpusTrades]) -> CorpusTrades:
    """Put the trades of several groups into one table; ranks stay unique within each group."""
    starts = np.cumsum([0, *(len(g.mark_day) for g in groups)])
    offsets = [g.mark_offset[:-1] + start for g, start in zip(groups, starts, strict=False)]
    columns = {
        field.name: np.concatenate([getattr(g, field.name) for g in groups]) for field in fields(CorpusTrades)
    }
    return CorpusTrades(**{**columns, "mark_offset": np.concatenate([*offsets, starts[-1:]])})
