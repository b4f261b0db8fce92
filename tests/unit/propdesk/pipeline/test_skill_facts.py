"""Skill facts of a desk with planted skill: figures agree, the future is unknown, luck finds nobody."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtr

from propdesk.core.errors import GapFault
from propdesk.metrics import evidence
from propdesk.metrics.discovery import desk_truth, q_values
from propdesk.pipeline.groups import GroupConfig, GroupTables, build_group_facts
from propdesk.pipeline.groups_prepare import Prepared, prepare
from propdesk.pipeline.skill_facts import SkillConfig, SkillTables, scores, skill_facts
from propdesk.replay.inputs import epoch_day
from tests.support.rule_frames import RuleFrames, make_frames

CONFIG = GroupConfig()
SKILL = SkillConfig()


@pytest.fixture(scope="module")
def frames() -> RuleFrames:
    return make_frames(
        seed=9, last=date(2025, 4, 30), per_day=40, advisors=6, edge={1: 0.25, 2: 0.15, 3: -0.25}
    )


def judge(frames: RuleFrames, day: date, skill: SkillConfig = SKILL) -> SkillTables:
    data, tables = of_day(frames, day)
    return skill_facts(data, epoch_day(day), tables.metrics, tables.curves, CONFIG, skill)


def of_day(frames: RuleFrames, day: date) -> tuple[Prepared, GroupTables]:
    inputs = (frames.trades, frames.excursions, frames.marks, frames.calendar, [day], CONFIG)
    return prepare(*inputs), build_group_facts(*inputs)


@pytest.fixture(scope="module")
def judged(frames: RuleFrames) -> SkillTables:
    return judge(frames, frames.days[-1])


def by_advisor(tables: SkillTables) -> pd.DataFrame:
    return tables.advisors.set_index("advisor_id")


def test_planted_skill_is_told_from_luck(judged: SkillTables) -> None:
    found = by_advisor(judged)
    assert found["stage"].to_dict()["A01"] == "LIVE"
    assert found.loc["A03", "stage"] == "OFF"
    assert found.loc["A03", "reasons"] == ["hits less than ideas without skill"]
    assert found.loc["A01", "e_value"] > 20 > found.loc["A04", "e_value"]
    assert found.loc["A03", "e_against"] > 20
    assert (found["q_value"] >= found["p_value"] - 1e-15).all()
    assert found.loc["A01", "found_by_e"]
    assert not found.loc["A03", "found_by_e"]
    assert found.loc["A01", "min_track_days"] < found.loc["A00", "min_track_days"]


def test_figures_are_those_of_step_8(frames: RuleFrames, judged: SkillTables) -> None:
    data, tables = of_day(frames, frames.days[-1])
    found = by_advisor(judged)
    metrics = tables.metrics[tables.metrics["level"] == "ADVISOR"].set_index("advisor_id")
    # the mean that t is about is the weighted mean that step 8 stores, open trades at their marks
    rows = judged.advisors
    np.testing.assert_allclose(rows["t_cluster"] * rows["se_cluster"], rows["mean_r_weighted"], rtol=1e-9)
    for name in ("post_mean_r", "excess_z", "design_effect", "skill_n"):
        assert found[name].tolist() == metrics.loc[found.index, name].tolist()
    # and hits and chances are the sums that it stores
    window = (data.entry_day <= epoch_day(frames.days[-1])) & (data.exit_day <= epoch_day(frames.days[-1]))
    mine = window & (data.frame["advisor_id"].to_numpy() == "A02") & ~np.isnan(data.p0)
    assert float(data.p0[mine].sum()) == pytest.approx(found.loc["A02", "expected_hits"])
    assert found.loc["A02", "p_breakeven"] == pytest.approx(float(data.p0[mine].mean()))
    effect, one = found.loc[["A02"], "design_effect"].to_numpy(), np.zeros(mine.sum(), dtype=np.int64)
    chance = evidence.excess_hit_chances(data.hit[mine], data.p0[mine], one, effect)
    assert found.loc["A02", "p_excess"] == pytest.approx(chance[0])


def test_the_desk_has_what_was_planted(judged: SkillTables) -> None:
    desk = judged.desk
    assert desk.truth.tested == 6
    assert desk.truth.found_positive >= 2
    assert desk.truth.found_negative >= 1
    assert 2 <= desk.found_by_q <= 4
    assert 1 <= desk.found_by_e <= 2
    assert 3.0 < desk.n_trials_eff <= 6.0
    assert desk.lucky_sharpe > 0
    named = desk.rules
    assert {"ADVISOR|A01", "ADVISOR|A02"} <= set(named["rule_text"])
    assert not named["rule_text"].str.contains("A03").any()
    minis = named[named["level"] == "MINI"]["rule_text"]
    assert len(minis) >= 2
    for text in named[named["level"] == "RULE_6D"]["rule_text"]:
        _, advisor, category, period, *_ = text.split("|")
        assert f"MINI|{advisor}|{category}|{period}" in set(minis)


def test_the_same_trades_give_the_same(frames: RuleFrames, judged: SkillTables) -> None:
    pd.testing.assert_frame_equal(judge(frames, frames.days[-1]).advisors, judged.advisors)


def test_q_is_that_of_the_p_values_shown(judged: SkillTables) -> None:
    rows = judged.advisors
    np.testing.assert_array_equal(rows["q_value"], q_values(rows["p_value"].to_numpy()))


def without_future(frames: RuleFrames, day: date) -> RuleFrames:
    trades = frames.trades[frames.trades["entry_date"] <= day].copy()
    ends = pd.to_datetime(trades["exit_date"])
    later = ends.isna() | (ends > pd.Timestamp(day))
    trades.loc[later, ["exit_at"]] = pd.NaT
    trades.loc[later, ["exit_date"]] = None
    trades.loc[later, ["exit_paise", "net_pnl_paise", "desk_net_pnl_paise", "is_winning_trade"]] = pd.NA
    trades.loc[later, ["r_multiple", "gross_r", "return_ratio"]] = np.nan
    trades.loc[later, "exit_reason"] = "OPEN"
    left = frames.excursions["trade_id"].isin(trades.loc[~later, "trade_id"])
    marks = frames.marks[frames.marks["mark_date"] <= day]
    return replace(frames, trades=trades, excursions=frames.excursions[left], marks=marks)


def test_deleting_the_future_changes_nothing(frames: RuleFrames) -> None:
    day = frames.days[-9]
    known, seen = judge(without_future(frames, day), day), judge(frames, day)
    pd.testing.assert_frame_equal(known.advisors, seen.advisors, check_categorical=False)
    pd.testing.assert_frame_equal(known.desk.rules, seen.desk.rules)
    assert known.desk.truth == seen.desk.truth
    pd.testing.assert_frame_equal(known.daily_r, seen.daily_r, check_exact=True)


def test_daily_results_by_plain_pandas(frames: RuleFrames) -> None:
    """Each idea on the day of its exit, in the column of its advisor, inside the evidence window only."""
    config = replace(CONFIG, skill_window_days=20, skill_window_days_positional=60)
    day = frames.days[-5]
    inputs = (frames.trades, frames.excursions, frames.marks, frames.calendar, [day], config)
    tables = build_group_facts(*inputs)
    found = skill_facts(
        prepare(*inputs), epoch_day(day), tables.metrics, tables.curves, config, SKILL
    ).daily_r
    window, wide = frames.days[-24:-4], frames.days[-64:-4]
    t = frames.trades[frames.trades["is_counted"] & frames.trades["r_multiple"].notna()]
    positional = (t["period"] == "POSITIONAL") & t["entry_date"].isin(wide)
    t = t[t["entry_date"].isin(window) | positional]
    before, t = t[t["exit_date"] < window[0]], t[t["exit_date"].isin(window)]
    assert len(before) > 5
    assert (t["entry_date"] < window[0]).sum() > 5
    by_hand = t.pivot_table("r_multiple", "exit_date", "advisor_id", "sum").reindex(window).fillna(0.0)
    assert found.columns.tolist() == sorted(by_hand.columns)
    np.testing.assert_allclose(found.to_numpy(), by_hand[found.columns].to_numpy(), atol=1e-9)


def test_bets_wait_for_the_first_day_that_is_still_open(frames: RuleFrames, judged: SkillTables) -> None:
    t = frames.trades[frames.trades["is_counted"] & (frames.trades["advisor_id"] == "A00")]
    first_open = t.loc[t["exit_reason"] == "OPEN", "entry_date"].min()
    days = t.loc[t["entry_date"] < first_open, "entry_date"].nunique()
    assert by_advisor(judged).loc["A00", "e_days"] == days < t["entry_date"].nunique()


def test_outcomes_shuffled_among_like_ideas_find_nobody(frames: RuleFrames) -> None:
    # the placebo of the spec: outcomes change places within day, category and reward/risk
    rng = np.random.default_rng(3)
    t = frames.trades.copy()
    away = (np.abs(t["targets_paise"].str[0] - t["entry_paise"]) / t["risk_paise"]).round(1)
    outcome = ["exit_reason", "targets_hit", "exit_at", "exit_date", "is_winning_trade", "r_multiple",
               "gross_r", "exit_paise", "net_pnl_paise", "unsettled_date"]  # fmt: skip
    move = (t["exit_paise"].astype("Float64") - t["entry_paise"]) * np.where(t["side"] == "BUY", 1, -1)
    t["move_r"] = (move / t["risk_paise"]).to_numpy(dtype=np.float64, na_value=np.nan)
    same_span = t["period"] == "INTRADAY"
    for rows in t[same_span].groupby([t["entry_date"], away]).groups.values():
        t.loc[rows, [*outcome, "move_r"]] = t.loc[rng.permutation(rows), [*outcome, "move_r"]].to_numpy()
    price = t["entry_paise"] + np.where(t["side"] == "BUY", 1, -1) * t["move_r"] * t["risk_paise"]
    t["exit_paise"] = pd.array(price.round(), dtype="Int64")
    placebo = replace(frames, trades=restored(t[same_span].drop(columns="move_r"), frames.trades))
    judged = judge(placebo, frames.days[-1])
    assert judged.desk.found_by_e == 0
    assert judged.desk.found_by_q <= 1
    assert not (judged.advisors["stage"] == "LIVE").any()


def restored(shuffled: pd.DataFrame, pattern: pd.DataFrame) -> pd.DataFrame:
    """Give columns that an assignment turned into objects their types again."""
    kinds: dict[str, Any] = {n: k for n, k in pattern.dtypes.items() if shuffled[n].dtype != k}
    for name, kind in kinds.items():
        shuffled[name] = pd.Series(list(shuffled[name]), index=shuffled.index).astype(kind)
    return shuffled


def test_metrics_of_other_trades_are_refused(frames: RuleFrames) -> None:
    data, tables = of_day(frames, frames.days[-1])
    strange = tables.metrics.assign(rule_text=tables.metrics["rule_text"].astype(str) + "X")
    with pytest.raises(GapFault):
        skill_facts(data, epoch_day(frames.days[-1]), strange, tables.curves, CONFIG, SKILL)


def test_advisors_without_a_replay_have_no_record(frames: RuleFrames) -> None:
    data, tables = of_day(frames, frames.days[-1])
    found = skill_facts(
        data, epoch_day(frames.days[-1]), tables.metrics, tables.curves.iloc[:0], CONFIG, SKILL
    )
    assert found.advisors[["psr", "dsr", "min_track_days"]].isna().all(axis=None)
    assert found.desk.n_trials_eff == 0.0


@pytest.mark.parametrize("days", [2, 3, 5])
def test_few_days_of_luck_are_not_taken_for_an_edge(days: int) -> None:
    """Advisors without stops are judged by their mean: t of few days strays further than a normal z."""
    t = np.random.default_rng(5).standard_t(days - 1, 4_000)
    luck = pd.DataFrame({"excess_z": np.full(len(t), np.nan), "p_cluster": stdtr(days - 1, -t)})
    found, naive = desk_truth(scores(luck)), desk_truth(t)
    assert found.found_positive == pytest.approx(found.expected_lucky, rel=0.15)
    assert naive.found_positive > 1.2 * naive.expected_lucky
