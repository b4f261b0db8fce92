"""The desk book: each matched idea once, on one corpus, equal to the readable replay of those ideas."""

from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from adapters.config_gates import load_gates
from propdesk.metrics.trust import MIN_TRADES
from propdesk.model.enums import GateProfile
from propdesk.model.rule import RuleSet
from propdesk.pipeline.desk_book import DeskBook, desk_book
from propdesk.pipeline.groups import GroupConfig, build_group_facts
from propdesk.pipeline.groups_prepare import prepare
from propdesk.pipeline.rule_tables import judge_rules, rulesets
from propdesk.replay.batch import results_equal
from propdesk.replay.corpus import replay_corpus
from propdesk.replay.inputs import epoch_day
from tests.support.rule_frames import RuleFrames, make_frames

CONFIG = GroupConfig(minimum_trades=load_gates().minimum_trades())


@pytest.fixture(scope="module")
def frames() -> RuleFrames:
    return make_frames(
        seed=9, last=date(2025, 4, 30), per_day=40, advisors=6, edge={1: 0.25, 2: 0.15, 3: -0.25}
    )


@pytest.fixture(scope="module")
def rules(frames: RuleFrames) -> RuleSet:
    gates, day = load_gates(), frames.days[-1]
    tables = build_group_facts(frames.trades, frames.excursions, frames.marks, frames.calendar, [day], CONFIG)
    ((_, found),) = rulesets(judge_rules(tables, gates, MIN_TRADES), gates, GateProfile.DESK)
    assert sum(rule.passes for rule in found.rules.values()) >= 3
    return found


def book(frames: RuleFrames, rules: RuleSet, trades: pd.DataFrame, config: GroupConfig = CONFIG) -> DeskBook:
    day = frames.days[-1]
    data = prepare(trades, frames.excursions, frames.marks, frames.calendar, [day], config)
    return desk_book(data, rules, day, config)


def member_trades(frames: RuleFrames, rules: RuleSet) -> pd.DataFrame:
    """Counted trades of the window with a cell that passes, whose finest cell clears the hurdles."""
    passing = {key.text for key, rule in rules.rules.items() if rule.passes}
    by_text = {key.text: rule for key, rule in rules.rules.items()}
    kept = []
    for place, t in enumerate(frames.trades.itertuples()):
        mini = f"{t.advisor_id}|{t.category}|{t.period}"
        texts = [f"MINIR|{mini}|{t.regime}", f"MINI|{mini}"]
        if isinstance(t.weekday, str) and t.session != "AFTER_HOURS":
            texts.insert(0, f"6D|{mini}|{t.regime}|{t.weekday}|{t.session}")
        known = [by_text[text] for text in texts if text in by_text]
        clears = bool(known) and known[0].post_mean_r > 0.05 and known[0].prob_edge > 0.8
        inside = t.entry_date > frames.days[-1] - timedelta(days=CONFIG.window_days)
        if t.is_counted and inside and clears and any(text in passing for text in texts):
            kept.append(place)
    return frames.trades.iloc[kept]


def test_the_book_is_the_replay_of_the_matched_ideas(frames: RuleFrames, rules: RuleSet) -> None:
    found, mine = book(frames, rules, frames.trades), member_trades(frames, rules)
    assert found.ideas_taken == len(mine) > 50
    assert found.ideas > 2 * found.ideas_taken
    assert 0 < found.rules_used <= found.rules_eligible
    assert {"A01", "A02"} <= set(mine["advisor_id"])
    assert "A03" not in set(mine["advisor_id"])
    day = frames.days[-1]
    alone = prepare(mine, frames.excursions, frames.marks, frames.calendar, [day], CONFIG)
    plain = replay_corpus(
        alone.corpus["analytical"],
        alone.market,
        as_of=epoch_day(day),
        capital_paise=CONFIG.capital_paise,
        window_days=CONFIG.window_days,
    )
    assert not results_equal(found.replay, plain)
    assert found.replay.trades_executed + found.replay.trades_skipped_capital == len(mine)


def test_scarce_capital_is_shared_by_all_rules(frames: RuleFrames, rules: RuleSet) -> None:
    rich = book(frames, rules, frames.trades)
    scarce = replace(CONFIG, capital_paise=int(frames.trades["margin_paise"].max()))
    poor = book(frames, rules, frames.trades, scarce)
    assert poor.ideas_taken == rich.ideas_taken
    assert poor.replay.trades_skipped_capital > rich.replay.trades_skipped_capital
    assert poor.replay.trades_executed + poor.replay.trades_skipped_capital == poor.ideas_taken


def test_order_of_rows_changes_nothing(frames: RuleFrames, rules: RuleSet) -> None:
    shuffled = book(frames, rules, frames.trades.sample(frac=1, random_state=5))
    assert not results_equal(book(frames, rules, frames.trades).replay, shuffled.replay)


def test_no_eligible_rule_is_a_flat_book(frames: RuleFrames, rules: RuleSet) -> None:
    none = replace(rules, rules={key: replace(rule, passes=False) for key, rule in rules.rules.items()})
    found = book(frames, none, frames.trades)
    assert (found.rules_eligible, found.rules_used, found.ideas_taken) == (0, 0, 0)
    assert found.replay.final_corpus_paise == CONFIG.capital_paise
    assert found.replay.trades_executed == 0
    assert set(found.replay.daily_corpus_paise.tolist()) == {CONFIG.capital_paise}
