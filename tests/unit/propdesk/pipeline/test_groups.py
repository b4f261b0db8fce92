"""Group facts: known at the end of the day only, one day alone equals the range, planted skill is found."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propdesk.metrics.discovery import q_values
from propdesk.metrics.expectancy import losing_streak_max, pain_reward_ratio
from propdesk.metrics.recency import recency_weights
from propdesk.metrics.track_record import block_starts
from propdesk.model.enums import Category, Period, Regime, RuleLevel, Session, Weekday
from propdesk.pipeline.groups import (
    GroupConfig,
    GroupTables,
    build_group_facts,
    group_facts_in_parts,
    joined_parts,
)
from propdesk.pipeline.groups_kernels import ADDITIVE, additive_sums
from propdesk.pipeline.groups_known import known_at, reverse_chances
from propdesk.pipeline.groups_prepare import prepare
from propdesk.replay.inputs import epoch_day
from propdesk.rules.dimensions import cells_of
from tests.support.rule_frames import RuleFrames, make_frames

CONFIG = GroupConfig(size_models=("analytical", "desk"))


@pytest.fixture(scope="module")
def frames() -> RuleFrames:
    return make_frames(
        seed=4, first=date(2025, 1, 1), last=date(2025, 4, 30), per_day=40, advisors=6, edge={1: 0.2}
    )


@pytest.fixture(scope="module")
def losing() -> RuleFrames:
    """One advisor hits far too seldom; a bar in twenty met two prices.

    What he holds overnight stands in the cells of his other ideas, so that reversals are named by cells with
    ideas that are still open.
    """
    frames = make_frames(
        seed=4, first=date(2025, 1, 1), last=date(2025, 3, 31), per_day=40, advisors=6, edge={2: -0.4}
    )
    frames.trades["ambiguous_bar"] = np.random.default_rng(4).random(len(frames.trades)) < 0.05
    frames.trades.loc[frames.trades["advisor_id"] == "A02", "period"] = "SWING"
    return frames


@pytest.fixture(scope="module")
def tables(frames: RuleFrames) -> GroupTables:
    return build(frames, frames.days[-12:])


def build(frames: RuleFrames, days: list[date]) -> GroupTables:
    return build_group_facts(frames.trades, frames.excursions, frames.marks, frames.calendar, days, CONFIG)


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Values instead of categories, which name every day and cell of the whole frame."""
    return frame.astype(dict.fromkeys(frame.select_dtypes("category").columns, "object"))


def same(left: GroupTables, right: GroupTables, day: date) -> None:
    for name in ("replays", "curves", "metrics", "thin"):
        a, b = (getattr(t, name) for t in (left, right))
        a, b = (plain(f[f["as_of_date"] == day].reset_index(drop=True)) for f in (a, b))
        assert len(a) > 0
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_one_day_alone_equals_the_range_bit_for_bit(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-7]
    same(build(frames, [day]), tables, day)


@pytest.mark.parametrize("world", ["frames", "losing"])
def test_deleting_the_future_changes_nothing(request: pytest.FixtureRequest, world: str) -> None:
    """Also where reversals are named, by ideas some of which are open and would be hits later."""
    frames: RuleFrames = request.getfixturevalue(world)
    day = frames.days[-7]
    trades = frames.trades[frames.trades["entry_date"] <= day].copy()
    ends = pd.to_datetime(trades["exit_date"])
    later = ends.isna() | (ends > pd.Timestamp(day))
    trades.loc[later, ["exit_at"]] = pd.NaT
    trades.loc[later, ["exit_date"]] = None
    trades.loc[later, ["exit_paise", "net_pnl_paise", "desk_net_pnl_paise", "is_winning_trade"]] = pd.NA
    trades.loc[later, ["r_multiple", "gross_r", "return_ratio"]] = np.nan
    trades.loc[later, "exit_reason"] = "OPEN"
    trades.loc[later, "ambiguous_bar"] = False
    trades.loc[later, "targets_hit"] = 0
    excursions = frames.excursions[frames.excursions["trade_id"].isin(trades.loc[~later, "trade_id"])]
    marks = frames.marks[frames.marks["mark_date"] <= day]
    known = build_group_facts(trades, excursions, marks, frames.calendar, [day], CONFIG)
    # in a range with later days, as the pipeline works
    whole = request.getfixturevalue("tables") if world == "frames" else build(frames, [day, frames.days[-1]])
    same(known, whole, day)
    if world == "losing":
        assert (frames.trades["exit_reason"].eq("STOPLOSS") & later).sum() > 5
        assert whole.metrics["reverse_q"].min() < 0.05


def test_an_idea_counts_as_open_until_the_day_on_which_it_is_unsettled() -> None:
    frames = make_frames(first=date(2025, 1, 1), last=date(2025, 3, 31), per_day=60, unsettled_share=0.8)
    day = frames.days[-20]
    t = frames.trades
    lost = pd.to_datetime(t["unsettled_date"])
    begun = t["is_counted"] & (pd.to_datetime(t["entry_date"]) <= pd.Timestamp(day))
    later = lost > pd.Timestamp(day)
    assert (begun & later).sum() > 5
    # at the end of the day nobody knew of the silence to come
    known = t.copy()
    known.loc[later, "exit_reason"] = "OPEN"
    known.loc[later, ["unsettled_at"]] = pd.NaT
    known.loc[later, ["unsettled_date"]] = None
    full = build(frames, [day, frames.days[-1]])
    same(
        build(
            RuleFrames(known, *[getattr(frames, n) for n in ("excursions", "marks", "calendar", "days")]),
            [day],
        ),
        full,
        day,
    )
    rows = full.metrics[(full.metrics["as_of_date"] == day) & (full.metrics["level"] == "ADVISOR")]
    ends = pd.to_datetime(t["exit_date"])
    gone = begun & (lost <= pd.Timestamp(day))
    assert rows["n_unsettled"].sum() == gone.sum() > 5
    assert rows["n_open"].sum() == (begun & ~gone & ~(ends <= pd.Timestamp(day))).sum()
    replays = full.replays.merge(rows[["as_of_date", "rule_text", "n_open"]])
    executed = replays[(replays["size_model"] == "analytical") & (replays["trades_skipped_capital"] == 0)]
    assert len(executed)
    assert (executed["open_at_end"] == executed["n_open"]).all()


def test_order_of_rows_changes_nothing(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-1]
    shuffled = RuleFrames(
        frames.trades.sample(frac=1, random_state=3),
        frames.excursions.sample(frac=1, random_state=4),
        frames.marks.sample(frac=1, random_state=5),
        frames.calendar,
        frames.days,
    )
    same(build(shuffled, [day]), tables, day)


def test_days_and_replays_worked_on_at_once_and_in_parts_change_nothing(
    frames: RuleFrames, tables: GroupTables
) -> None:
    inputs = (frames.trades, frames.excursions, frames.marks, frames.calendar, frames.days[-4:], CONFIG)
    whole = build_group_facts(*inputs)
    with ThreadPoolExecutor(3) as pool:
        found = list(group_facts_in_parts(*inputs, pool.map, days_at_once=3))
    assert [dates for dates, _ in found] == [frames.days[-4:-1], frames.days[-1:]]
    for dates, part in found:
        assert all(set(frame["as_of_date"]) <= set(dates) for frame in part.by_table().values())
    joined = joined_parts([part for _, part in found])
    for name, frame in joined.by_table().items():
        assert len(frame)
        assert isinstance(frame["rule_text"].dtype, pd.CategoricalDtype)
        pd.testing.assert_frame_equal(frame, whole.by_table()[name])
    for day in frames.days[-4:]:
        same(joined, tables, day)


def test_figures_of_one_advisor_by_plain_pandas(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-1]
    row = tables.metrics.set_index(["as_of_date", "rule_text"]).loc[(day, "ADVISOR|A02")]
    t = frames.trades.merge(frames.excursions.drop(columns="trade_date"), on="trade_id")
    t = t[t["is_counted"] & (t["advisor_id"] == "A02")]
    inside = pd.to_datetime(t["entry_date"]) > pd.Timestamp(day) - pd.Timedelta(days=90)
    closed = t[inside & t["exit_date"].notna()].sort_values(["exit_at", "trade_id"])
    assert row["n"] == len(closed)
    assert row["n_open"] == int((inside & t["exit_date"].isna()).sum())
    assert row["n_days"] == closed["entry_date"].nunique()
    assert row["median_r"] == pytest.approx(np.median(closed["r_multiple"]))
    assert row["best_return"] == closed["return_ratio"].max()
    mae, mfe = closed["mae_r"].to_numpy(), closed["mfe_r"].to_numpy()
    assert row["pain_reward"] == pytest.approx(pain_reward_ratio(mae, mfe))
    assert row["mae_r_p75"] == pytest.approx(np.percentile(mae, 75))
    assert row["mfe_r_p90"] == pytest.approx(np.percentile(mfe, 90))
    assert row["losing_streak_max"] == losing_streak_max(closed["is_winning_trade"].to_numpy(dtype=bool))
    stopped = closed[closed["exit_reason"] == "STOPLOSS"]
    assert row["stopped_trades"] == len(stopped)
    assert row["mean_post_sl_extension"] == pytest.approx(stopped["post_sl_extension"].mean())
    assert row["stop_hunt_rate"] == pytest.approx(stopped["crossed_entry_after_stop"].astype(float).mean())


def test_sums_of_every_replayed_group_by_plain_pandas(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-1]
    metrics = tables.metrics[tables.metrics["as_of_date"] == day]
    full = plain(metrics)
    assert set(full["level"]) == {"ADVISOR", "MINI", "MINI_REGIME", "RULE_6D"}
    t = frames.trades[frames.trades["is_counted"] & frames.trades["exit_date"].notna()]
    t = t[pd.to_datetime(t["entry_date"]) > pd.Timestamp(day) - pd.Timedelta(days=90)].copy()
    t["w"] = recency_weights(np.array([(day - end).days for end in t["exit_date"]], dtype=np.float64))
    t["session"] = t["session"].where(t["session"] != "AFTER_HOURS")
    width = {"ADVISOR": 1, "MINI": 3, "MINI_REGIME": 4, "RULE_6D": 6}
    names = ["advisor_id", "category", "period", "regime", "weekday", "session"]
    for row in full.to_dict("records"):
        keys = names[: width[row["level"]]]
        g = t[np.all([t[k] == row[k] for k in keys], axis=0) & t[keys].notna().all(axis=1)]
        net, r, w, early = (
            g["net_pnl_paise"],
            g["r_multiple"],
            g["w"],
            g["entry_date"] <= day - timedelta(days=45),
        )
        expected = {
            "wins": g["is_winning_trade"].sum(), "winners": (net > 0).sum(), "losers": (net < 0).sum(),
            "r_count": r.count(), "weight": w.sum(), "weight_squared": (w * w).sum(),
            "win_weight": w[g["is_winning_trade"].astype(bool)].sum(), "return_sum": g["return_ratio"].sum(),
            "r_sum": r.sum(), "r_weight": w[r.notna()].sum(), "r_weighted": (r * w).sum(),
            "gains_paise": net.clip(lower=0).sum(), "losses_paise": net.clip(upper=0).sum(),
            "weighted_gains_paise": (net.clip(lower=0) * w).sum(),
            "weighted_losses_paise": (net.clip(upper=0) * w).sum(),
            "net_pnl_paise": net.sum(), "charges_paise": g["charges_paise"].sum(),
            "hours": g["holding_hours"].sum(), "first_half_net_pnl_paise": net[early].sum(),
            "reverse_net_pnl_paise": -(g["gross_pnl_paise"] + g["slippage_paise"] + g["charges_paise"]).sum(),
        }  # fmt: skip
        assert tuple(expected) == ADDITIVE
        for name, value in expected.items():
            assert row[name] == pytest.approx(float(value), rel=1e-9, abs=1e-9), (row["rule_text"], name)


def test_additive_sums_know_the_window_the_weights_and_what_is_unknown() -> None:
    facts = np.array(
        [
            # win, net, charges, of the mirrored trade, R, return, hours
            [1.0, 200.0, 10.0, -230.0, 2.0, 0.04, 4.0],
            [0.0, -100.0, 10.0, 70.0, np.nan, -0.02, 2.0],
            [1.0, 999.0, 9.0, -999.0, 9.0, 0.9, 9.0],  # not closed by the day
            [0.0, -50.0, 5.0, 35.0, -1.0, np.nan, 1.0],
        ]
    )
    order, low, high = np.arange(4), np.array([0, 3, 3]), np.array([3, 4, 4])
    closed, early = np.array([True, True, False, True]), np.array([False, True, False, False])
    wanted = np.array([True, True, False])
    weight = np.array([0.5, 1.0, 1.0, 1.0])
    found = additive_sums(order, low, high, wanted, closed, facts, weight, early)
    row = dict(zip(ADDITIVE, found[0].tolist(), strict=True))
    assert row == {
        "wins": 1.0, "winners": 1.0, "losers": 1.0, "r_count": 1.0, "weight": 1.5, "weight_squared": 1.25,
        "win_weight": 0.5, "return_sum": 0.02, "r_sum": 2.0, "r_weight": 0.5, "r_weighted": 1.0,
        "gains_paise": 200.0, "losses_paise": -100.0, "weighted_gains_paise": 100.0,
        "weighted_losses_paise": -100.0, "net_pnl_paise": 100.0, "charges_paise": 20.0, "hours": 6.0,
        "first_half_net_pnl_paise": -100.0, "reverse_net_pnl_paise": -160.0,
    }  # fmt: skip
    assert np.isnan(found[1, ADDITIVE.index("return_sum")]), "no trade has a return"
    assert found[1, ADDITIVE.index("net_pnl_paise")] == -50.0
    assert np.isnan(found[2]).all(), "a cell with too few trades has none"


def test_skill_of_one_advisor_by_plain_pandas(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-1]
    row = tables.metrics.set_index(["as_of_date", "rule_text"]).loc[(day, "ADVISOR|A02")]
    t = frames.trades[frames.trades["is_counted"] & (frames.trades["advisor_id"] == "A02")].copy()
    index = {d: i for i, d in enumerate(frames.days)}
    t["age"] = [
        index[frames.days[-1]] - index[d] if d else 0
        for d in t["exit_date"].where(t["exit_date"].notna(), None)
    ]
    last = frames.marks[frames.marks["mark_date"] == day].set_index("trade_id")["mark_pnl_paise"]
    marked = last.reindex(t["trade_id"]).to_numpy() / (t["risk_paise"] * t["quantity"]).to_numpy()
    r = t["r_multiple"].where(t["exit_date"].notna(), marked)
    w = 0.5 ** (t["age"] / 60.0)
    assert row["mean_r_weighted"] == pytest.approx(float((w * r).sum() / w.sum()))
    assert row["weighted_n"] == pytest.approx(float(w.sum() ** 2 / (w**2).sum()))
    assert row["skill_n"] == int(t["exit_date"].notna().sum())


def test_planted_skill_stands_above_everyone(frames: RuleFrames, tables: GroupTables) -> None:
    last = tables.metrics[tables.metrics["as_of_date"] == frames.days[-1]]
    advisors = last[last["level"] == "ADVISOR"].set_index("advisor_id")
    assert advisors["post_mean_r"].idxmax() == "A01"
    assert advisors.loc["A01", "excess_z"] > 4
    assert advisors.loc["A01", "prob_edge"] > 0.99
    others = advisors.drop("A01")
    assert (others["excess_z"].abs() < 3.5).all()
    assert (others["pain_reward_no_skill"].between(0.6, 1.0)).all()


def test_every_cell_has_its_advisors_q(tables: GroupTables) -> None:
    metrics = plain(tables.metrics)
    advisors = metrics[metrics["level"] == "ADVISOR"]
    q = {(row.as_of_date, row.advisor_id): row.advisor_q for row in advisors.itertuples()}
    assert [q[key] for key in zip(metrics["as_of_date"], metrics["advisor_id"], strict=True)] == metrics[
        "advisor_q"
    ].tolist()
    newest = advisors[advisors["as_of_date"] == max(advisors["as_of_date"])].set_index("advisor_id")
    assert newest.loc["A01", "advisor_q"] < 1e-4
    assert newest["advisor_q"].drop("A01").min() > 0.05


def test_reversals_are_one_family_of_the_day(losing: RuleFrames) -> None:
    """One advisor is much worse than luck; everybody's cells of every trading level are tested together."""
    day = losing.days[-1]
    metrics = plain(build(losing, [day]).metrics)
    assert metrics.loc[metrics["level"] == "ADVISOR", "reverse_q"].isna().all()
    cells = metrics[metrics["level"] != "ADVISOR"]
    named = cells[cells["reverse_q"] <= 0.05]
    assert set(named["advisor_id"]) == {"A02"}
    assert {"MINI", "MINI_REGIME"} <= set(named["level"])
    # a break-even advisor loses his costs, and whoever trades against him loses them too
    assert cells.loc[cells["advisor_id"] != "A02", "reverse_q"].min() > 0.2

    data = prepare(losing.trades, losing.excursions, losing.marks, losing.calendar, [day], CONFIG)
    known = known_at(data, epoch_day(day), CONFIG)
    wide = cells[~cells["reverse_q"].isna()].set_index("rule_text")["design_effect"]
    texts, chances = [], []
    for level in data.levels[1:]:
        effect = wide.reindex(level.rule_text.tolist()).to_numpy(dtype=float)
        texts += level.rule_text.tolist()
        chances.append(reverse_chances(data, known, level, effect))
    together = pd.Series(q_values(np.concatenate(chances)), index=texts).dropna()
    found = cells.set_index("rule_text")["reverse_q"].dropna()
    assert found.nunique() > 5
    assert found.sort_index().to_dict() == together.sort_index().to_dict()


def reverse_chance(frames: RuleFrames, **changed: list[Any]) -> float:
    """P of the only MINI cell of bought ideas at 100.00 with a stop at 99.00, at the end of a day."""
    n, day = len(changed["exit_reason"]), frames.days[20]
    begun, over = frames.days[18], frames.days[19]
    first = frames.trades[frames.trades["is_counted"]].iloc[[0]]
    ideas = pd.concat([first] * n, ignore_index=True).assign(
        trade_id=[f"{k:02d}" for k in range(n)], side="BUY", entry_paise=10_000, stoploss_paise=9_900,
        risk_paise=100, lots=10, quantity=10, entry_date=begun, trade_date=begun, exit_date=over,
        entry_at=pd.Timestamp(begun, tz="Asia/Kolkata") + pd.Timedelta(hours=10),
        exit_at=pd.Timestamp(over, tz="Asia/Kolkata") + pd.Timedelta(hours=12),
        exit_paise=9_900, targets_hit=0, ambiguous_bar=False, gross_r=-1.0, is_winning_trade=False,
    )  # fmt: skip
    cost = np.array(changed.pop("cost_r"))
    ideas = ideas.assign(**changed, r_multiple=lambda t: t["gross_r"] - cost)
    moved = frames.excursions.iloc[[0] * n].assign(trade_id=ideas["trade_id"].tolist(), mae_r=1.0, mfe_r=0.1)
    data = prepare(ideas, moved, frames.marks.iloc[:0], frames.calendar, [day], CONFIG)
    level = data.levels[1]
    assert level.size == 1
    (p_value,) = reverse_chances(data, known_at(data, epoch_day(day), CONFIG), level, np.ones(1))
    return float(p_value)


def test_reversals_of_one_cell_by_hand(losing: RuleFrames) -> None:
    """Each idea has its own way into the count; the nearest target is 2 R away, so that 2 : 1 breaks even."""
    before, later = losing.days[19], losing.days[21]
    far = [16_000]
    ways: list[tuple[str, list[int], date, float, bool, float, float, float]] = [
        # reason, targets, exit date, at R, ambiguous, costs R | counted hit, chance to break even
        ("STOPLOSS", [10_200], before, -1.0, False, 0.1, 1.0, 2.1 / 3),
        ("STOPLOSS", [10_200, 10_900], before, -1.0, False, 0.4, 1.0, 2.4 / 3),
        ("TARGET", [10_200], before, 2.0, False, 0.1, 0.0, 2.1 / 3),
        # moved by the advisor: as if closed by hand half an R from the entry
        ("TRAILED_STOP", [10_200], before, 0.5, False, 0.0, 0.5, 2 / 3),
        ("STOPLOSS", [10_200], before, -1.0, True, 0.1, 0.0, 2.1 / 3),
        # the day after, which nobody knows yet: neither its end nor its costs
        ("STOPLOSS", [10_200], later, -1.0, False, 0.1, 0.0, 2 / 3),
        # costs more than the stop can ever pay: lost, not unknown
        ("STOPLOSS", [10_200], before, -1.0, False, 1.05, 0.0, 2 / 3),
        # 60 R away: brought to 30 % of the entry, 30 R
        ("STOPLOSS", far, before, -1.0, False, 0.1, 1.0, 30.1 / 31),
    ]
    reason, targets, exits, at, ambiguous, cost, hit, chance = map(list, zip(*ways, strict=True))
    found = reverse_chance(
        losing, exit_reason=reason, targets_paise=targets, exit_date=exits, gross_r=at, cost_r=cost,
        exit_at=[pd.Timestamp(end, tz="Asia/Kolkata") + pd.Timedelta(hours=12) for end in exits],
        exit_paise=[10_000 + round(100 * r) for r in at], ambiguous_bar=ambiguous,
        targets_hit=[int(r > 1) for r in at],
    )  # fmt: skip
    assert found == pytest.approx(chance_of_hits(hit, chance), abs=1e-9)


def chance_of_hits(hit: list[float], chance: list[float]) -> float:
    """Chance of as many hits or more, exact over all ways to hit, or by the normal curve if that is more."""
    exact = sum(
        math.prod(p if met else 1 - p for met, p in zip(way, chance, strict=True))
        for way in itertools.product((0, 1), repeat=len(hit))
        if sum(way) >= math.ceil(sum(hit))
    )
    spread = math.sqrt(sum(p * (1 - p) for p in chance))
    return max(exact, 1 - NormalDist().cdf((sum(hit) - 0.5 - sum(chance)) / spread))


def test_reshuffled_drawdown_of_one_rule_by_a_plain_loop(frames: RuleFrames, tables: GroupTables) -> None:
    day = frames.days[-1]
    metrics = plain(tables.metrics)
    row = metrics[(metrics["as_of_date"] == day) & (metrics["level"] == "MINI")].iloc[0]
    mine = frames.trades[frames.trades["is_counted"] & frames.trades["exit_date"].notna()]
    for name in ("advisor_id", "category", "period"):
        mine = mine[mine[name] == row[name]]
    begin = day - timedelta(days=CONFIG.window_days - 1)
    inside = [begin <= e and x <= day for e, x in zip(mine["entry_date"], mine["exit_date"], strict=True)]
    mine = mine[inside].sort_values(["exit_at", "trade_id"])
    assert len(mine) == row["n"] > 10
    market = frames.calendar.market_days(begin, day)
    by_day = [mine["net_pnl_paise"][mine["exit_date"] == one].tolist() for one in market]
    orders = block_starts(
        len(market), CONFIG.drawdown_block_days, CONFIG.drawdown_draws, np.random.default_rng(CONFIG.seed)
    )
    found = []
    for order in orders.tolist():
        steps = [CONFIG.capital_paise, *(value for one in order for value in by_day[one])]
        value = np.cumsum(np.array(steps, dtype=np.float64))
        found.append(float((value / np.maximum.accumulate(value) - 1.0).min()))
    assert row["mdd_p95"] == pytest.approx(sorted(found)[CONFIG.drawdown_draws // 20], abs=1e-12)
    assert row["mdd_p95"] < 0


def test_thin_cells_carry_counts_and_skill_only(frames: RuleFrames, tables: GroupTables) -> None:
    key = ["as_of_date", "rule_text"]
    thin, full = plain(tables.thin), plain(tables.metrics)
    assert thin["n"].between(1, 9).all()
    assert set(thin["level"]) == {"MINI", "MINI_REGIME", "RULE_6D"}
    assert thin[["post_mean_r", "prob_edge", "post_sd_r"]].notna().all(axis=None)
    assert full[["losing_streak_max", "stopped_trades", *ADDITIVE[:4]]].notna().all(axis=None)
    replays = plain(tables.replays)
    replayed = set(map(tuple, replays[key].to_numpy()))
    assert set(map(tuple, full[key].to_numpy())) <= replayed
    assert replayed.isdisjoint(map(tuple, thin[key].to_numpy()))


def test_both_sizes_are_replayed(tables: GroupTables) -> None:
    counts = tables.replays.groupby("size_model").size()
    assert counts["analytical"] == counts["desk"]
    wide = tables.replays.pivot_table(
        index=["as_of_date", "rule_text"], columns="size_model", values="mean_utilisation_ratio"
    )
    assert (wide["desk"] < wide["analytical"]).mean() > 0.9


def test_texts_are_those_of_the_rule_keys(frames: RuleFrames, tables: GroupTables) -> None:
    trade = frames.trades[frames.trades["session"] == "MORNING"].iloc[-1]
    keys = cells_of(
        trade["advisor_id"], Category(trade["category"]), Period(trade["period"]),
        regime=Regime(trade["regime"]), weekday=Weekday(trade["weekday"]), session=Session.MORNING,
    )  # fmt: skip
    every = pd.concat([plain(tables.metrics), plain(tables.thin)])
    known = set(every["rule_text"])
    assert {key.text for key in keys if key.level is not RuleLevel.RULE_6D} <= known
    sixes = every[every["level"] == "RULE_6D"]
    assert not sixes["session"].eq("AFTER_HOURS").any()


def test_nothing_traded_gives_empty_tables(frames: RuleFrames) -> None:
    nothing = build_group_facts(
        frames.trades.iloc[:0], frames.excursions.iloc[:0], frames.marks.iloc[:0], frames.calendar,
        frames.days[:2], CONFIG,
    )  # fmt: skip
    assert len(nothing.metrics) == len(nothing.thin) == len(nothing.replays) == len(nothing.curves) == 0
    assert "post_mean_r" in nothing.metrics.columns
    assert "post_mean_r" in nothing.thin.columns
