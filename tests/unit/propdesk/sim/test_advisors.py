from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from adapters.forks import spread_over_forks
from propdesk.core.calendar import ist_date
from propdesk.core.errors import InvariantViolated
from propdesk.model.enums import Category, EntryType, Period, Side
from propdesk.sim import advisors
from propdesk.sim.advisor_habits import Habit, Kind, roster
from propdesk.sim.advisor_ideas import Odds, choose, hit_rate, measure_odds, peek_probability
from propdesk.sim.advisor_rows import SampleRow
from propdesk.sim.advisors import AdvisorSpec, AdvisorStream, generate_advisors, points_by_day
from propdesk.sim.market_book import book_of_prices
from tests.support.generated import book, calendar, market

FIRST, LAST = date(2025, 4, 1), date(2025, 5, 9)


@pytest.fixture(scope="module")
def stream() -> Iterator[AdvisorStream]:
    patch = pytest.MonkeyPatch()
    patch.setattr(advisors, "_ODDS_DRAWS", 250)
    patch.setattr(advisors, "_TRUTH_DRAWS", 250)
    yield generate_advisors(book(FIRST, LAST), AdvisorSpec(7, 150), calendar())
    patch.undo()


def signals(stream: AdvisorStream) -> list[SampleRow]:
    return [row for row in stream.rows if row.kind == "SIGNAL" and not row.raw]


def habit(kind: Kind = Kind.LADDER, points: float = 0.2, category: Category = Category.NSE_EQ) -> Habit:
    return Habit("ADV001", "Someone", "", kind, points, category, Period.INTRADAY, 1.5, 1)


def test_peeking_yields_the_stated_points_of_hit_probability() -> None:
    paths = book(FIRST, LAST)
    odds = measure_odds(np.random.default_rng(1), habit(), paths, 2_500)
    days = np.random.default_rng(2).integers(0, len(paths.days), 2_500)
    for points in (0.0, 0.1, 0.3):
        peek = peek_probability(np.full(len(days), points), odds)
        share, _ = hit_rate(choose(np.random.default_rng(3), habit(), paths, days, peek))
        assert share - odds.blind == pytest.approx(points, abs=0.035)


def test_a_wrong_advisor_looks_for_losers() -> None:
    paths = book(FIRST, LAST)
    wrong = habit(Kind.WRONG, -0.15)
    odds = measure_odds(np.random.default_rng(1), wrong, paths, 1_500)
    peek = peek_probability(np.full(1_500, -0.15), odds)
    assert (peek < 0).all()
    days = np.random.default_rng(2).integers(0, len(paths.days), 1_500)
    share, _ = hit_rate(choose(np.random.default_rng(3), wrong, paths, days, peek))
    assert share - odds.blind == pytest.approx(-0.15, abs=0.035)


def test_the_peek_probability_is_bounded_and_undoes_the_missing_fills() -> None:
    odds = Odds(blind=0.3, blind_fill=0.8, peeked=0.9)
    assert peek_probability(np.array([0.0, 0.3, 5.0]), odds).tolist() == pytest.approx([0.0, 4 / 9, 1.0])
    # 4/9 peeked (all fill) against 5/9 blind (80 % fill): half of the filled ones are peeked
    filled = 4 / 9 + 5 / 9 * 0.8
    assert 4 / 9 / filled == pytest.approx(0.5)
    assert peek_probability(np.array([0.2]), Odds(float("nan"), 0.0, float("nan"))).tolist() == [0.0]


def test_the_same_seed_gives_the_same_stream(stream: AdvisorStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisors, "_ODDS_DRAWS", 250)
    monkeypatch.setattr(advisors, "_TRUTH_DRAWS", 250)
    again = generate_advisors(book(FIRST, LAST), AdvisorSpec(7, 150), calendar(), spread_over_forks)
    assert again.rows == stream.rows
    assert list(again.truth) == list(stream.truth)


def test_ids_and_names_say_nothing_about_the_kind() -> None:
    one, other = roster(1, cash_only=False), roster(2, cash_only=False)
    kinds = [{h.advisor_id: h.kind for h in habits} for habits in (one, other)]
    assert kinds[0] != kinds[1]
    assert Counter(kinds[0].values()) == Counter(kinds[1].values())
    assert [h.advisor_id for h in one] == sorted(h.advisor_id for h in one)


def test_without_skill_nobody_has_any() -> None:
    assert {h.points for h in roster(1, cash_only=False, skill=0.0)} == {0.0}


def test_skill_can_drift_or_need_a_trend() -> None:
    trend = np.array([0.0, 1.0, -2.0])
    assert points_by_day(habit(Kind.DRIFTING), trend).tolist() == pytest.approx([0.2, 0.1, 0.0])
    assert points_by_day(habit(Kind.REGIME_ONLY), trend).tolist() == pytest.approx([0.0, 0.2, 0.2])
    assert points_by_day(habit(), trend).tolist() == [0.2] * 3


def test_ideas_are_complete_and_consistent(stream: AdvisorStream) -> None:
    rows = signals(stream)
    days = set(book(FIRST, LAST).days)
    assert 0.8 < len(rows) / (150 * len(days)) < 1.25
    for row in rows:
        assert row.posted_s <= row.received_s
        assert ist_date(row.received_s * 10**9) <= LAST
        sign = 1 if row.side is Side.BUY else -1
        steps = [sign * (b - a) for a, b in zip(row.targets_paise, row.targets_paise[1:], strict=False)]
        assert all(step > 0 for step in steps)
        if row.entry_type is EntryType.MARKET:
            assert row.entry_low_paise is None
            continue
        assert row.entry_low_paise is not None
        assert row.entry_high_paise is not None
        assert row.entry_low_paise <= row.entry_high_paise
        if row.stoploss_paise is not None:
            assert sign * (row.entry_low_paise - row.stoploss_paise) > 0
            assert sign * (row.entry_high_paise - row.stoploss_paise) > 0
        if row.targets_paise and row.kind == "SIGNAL" and row.received_s - row.posted_s < 100:
            assert sign * (row.targets_paise[0] - row.entry_low_paise) > 0


def test_cash_is_never_shorted_beyond_the_day_and_options_are_bought(stream: AdvisorStream) -> None:
    for row in signals(stream):
        if row.category is Category.NSE_EQ and row.period is not Period.INTRADAY:
            assert row.side is Side.BUY
        if row.category is not None and row.category.is_option and not row.group_key:
            assert row.side is Side.BUY


def test_rows_come_in_order_of_receipt(stream: AdvisorStream) -> None:
    stamps = [row.received_s for row in stream.rows]
    assert stamps == sorted(stamps)


def test_a_copier_repeats_the_words_of_his_master_later(stream: AdvisorStream) -> None:
    truth = {str(row["advisor_id"]): row for row in stream.truth}
    copier = next(row for row in truth.values() if row["kind"] == "LATE_COPIER")
    master = [r for r in signals(stream) if r.advisor_id == copier["follows"]]
    words = {
        (r.category, r.symbol.replace(" ", ""), r.entry_low_paise, r.stoploss_paise, r.targets_paise)
        for r in master
    }
    own = [r for r in signals(stream) if r.advisor_id == copier["advisor_id"]]
    assert own
    same = [
        r
        for r in own
        if (r.category, r.symbol.replace(" ", ""), r.entry_low_paise, r.stoploss_paise, r.targets_paise)
        in words
    ]
    assert len(same) > 0.9 * len(own)  # an alias of the name may differ


def test_nothing_about_the_replayed_last_day_is_claimed_or_comes_from_the_evening_before(
    stream: AdvisorStream,
) -> None:
    of_last = [r for r in stream.rows if ist_date(r.received_s * 10**9) == LAST]
    assert of_last
    assert all(r.reported_status == "" for r in of_last)


def test_a_misreporter_claims_targets_that_the_market_denies(stream: AdvisorStream) -> None:
    liars = {str(row["advisor_id"]) for row in stream.truth if row["kind"] == "MISREPORTER"}
    claims = [r.reported_status for r in signals(stream) if r.advisor_id in liars and r.reported_status]
    assert claims.count("TARGET") > 0.8 * len(claims)


def test_follow_ups_name_their_signal_and_come_after_it(stream: AdvisorStream) -> None:
    received = {row.source_message_id: row.received_s for row in stream.rows if row.kind == "SIGNAL"}
    followups = [row for row in stream.rows if row.kind == "FOLLOWUP"]
    assert followups
    for row in followups:
        if row.refers_to:
            assert row.received_s > received[row.refers_to]


def test_quitters_stop_and_the_truth_counts_what_was_posted(stream: AdvisorStream) -> None:
    truth = {str(row["advisor_id"]): row for row in stream.truth}
    quitter = next(key for key, row in truth.items() if row["kind"] == "QUITTING")
    days = book(FIRST, LAST).days
    last = max(ist_date(r.received_s * 10**9) for r in signals(stream) if r.advisor_id == quitter)
    assert last <= days[int(len(days) * 0.6)]
    ids = Counter(r.advisor_id for r in signals(stream) if r.source_message_id.count("-") == 1)
    for key, row in truth.items():
        assert 0 <= ids[key] - int(row["ideas_posted"]) <= 6  # edits repeat an id


def test_advisors_on_stored_prices_speak_of_stocks_only() -> None:
    made = market(FIRST, LAST)
    bars = {
        f"NSE_EQ:{u.symbol}": made.minute_bars(r, 0) for r, u in enumerate(made.underlyings) if not u.is_index
    }
    paths = book_of_prices(bars, made.days[:1], calendar(), {})
    patch = pytest.MonkeyPatch()
    patch.setattr(advisors, "_ODDS_DRAWS", 40)
    patch.setattr(advisors, "_TRUTH_DRAWS", 40)
    found = generate_advisors(paths, AdvisorSpec(7, 60, cash_only=True), calendar())
    patch.undo()
    assert {row.category for row in found.rows} == {Category.NSE_EQ}
    assert len(found.rows) > 30


def test_a_silent_feed_stops_ideas_and_an_empty_store_is_refused() -> None:
    made = market(FIRST, LAST)
    bars = made.minute_bars(2, 0)
    morning = replace(bars, **{name: getattr(bars, name)[:70] for name in (
        "start_ns", "open_paise", "high_paise", "low_paise", "close_paise", "volume")})  # fmt: skip
    paths = book_of_prices({"NSE_EQ:X": morning}, made.days[:1], calendar(), {})
    posted = choose(np.random.default_rng(1), habit(), paths, np.zeros(200, np.int64), np.zeros(200))
    assert 0 < len(posted.side) < 200
    assert (posted.ideas.posted_s // 60 - morning.start_ns[-1] // 60_000_000_000 <= 20).all()
    with pytest.raises(InvariantViolated, match="NSE_EQ"):
        book_of_prices({}, made.days[:1], calendar(), {})
    with pytest.raises(InvariantViolated, match="at least one idea"):
        generate_advisors(paths, AdvisorSpec(7, 0), calendar())
