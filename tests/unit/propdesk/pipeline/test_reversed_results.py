"""Results of reversed trades: by hand, and against the reversed trade led through the same prices."""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from propdesk.execution.reverse import TradePlan, reverse_plan
from propdesk.execution.trade_group import split_legs
from propdesk.model.enums import ExitReason
from propdesk.model.order import TradeGroup
from propdesk.model.trade import Outcome
from propdesk.pipeline.outcome import resolve_outcome
from propdesk.pipeline.reversed_results import Ideas, first_targets, reversed_net
from tests.sweeps.outcome_equality import DAY, LATENCY, make_bars, make_group, session_of


def one(**changes: float) -> float:
    """Buy 10 at 100 with stop 98 and nearest target 104, all in paise; costs 3."""
    row: dict[str, float] = {
        "sign": 1.0, "quantity": 10.0, "entry_paise": 100.0, "low_paise": 100.0,
        "high_paise": 100.0, "stop_paise": 98.0, "nearest_paise": 104.0,
        "exit_paise": 98.0, "targets_hit": 0.0, "is_stopped": False, "is_target": False,
        "is_ambiguous": False, "mae_r": 0.5, "mfe_r": 0.5, "cost_paise": 3.0,
    }  # fmt: skip
    return float(reversed_net(Ideas(**{name: np.array([v]) for name, v in {**row, **changes}.items()}))[0])


WIDE = {
    "low_paise": 100.0, "high_paise": 110.0, "entry_paise": 110.0, "stop_paise": 60.0, "exit_paise": 95.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("ends", "net"),
    [
        ({"is_stopped": True}, 17.0),
        ({"is_stopped": True, "exit_paise": 97.0}, 27.0),  # the market opened beyond the stop
        ({"is_target": True, "targets_hit": 1, "exit_paise": 104.0}, -43.0),
        ({"is_target": True, "targets_hit": 1, "exit_paise": 105.0}, -53.0),  # opened beyond the target
        ({"is_target": True, "targets_hit": 3, "exit_paise": 110.0}, -43.0),  # the rest ran on without it
        ({"targets_hit": 1, "exit_paise": 99.0}, -43.0),  # the rest came back: no gain to the reversal
        ({"is_stopped": True, "is_ambiguous": True}, -43.0),
        ({"exit_paise": 103.0}, -33.0),  # time
        ({"exit_paise": 99.0}, 7.0),
        ({"sign": -1.0, "stop_paise": 102.0, "nearest_paise": 96.0, "exit_paise": 101.0}, 7.0),
        ({"nearest_paise": np.nan, "is_stopped": True}, 0.0),  # nothing to stop it by: never reversed
        ({"stop_paise": np.nan, "exit_paise": 90.0}, 97.0),  # no target of its own
        ({"stop_paise": np.nan, "exit_paise": 106.0, "targets_hit": 2}, -43.0),
        # a range to buy fills at its upper end, to sell at its lower one
        ({"low_paise": 99.0, "is_stopped": True}, 7.0),
        ({"low_paise": 99.0, "targets_hit": 2, "exit_paise": 106.0}, -53.0),
        # levels are brought nearer to 30 from the entry
        ({"stop_paise": 60.0, "exit_paise": 65.0, "mae_r": 0.9}, 297.0),
        ({"stop_paise": 60.0, "exit_paise": 80.0, "mae_r": 0.6}, 197.0),
        ({"stop_paise": 60.0, "exit_paise": 80.0, "mae_r": np.nan}, -43.0),  # unknown what was met
        ({"nearest_paise": 140.0, "exit_paise": 99.0, "mfe_r": 15.5}, -303.0),
        ({"nearest_paise": 140.0, "exit_paise": 99.0, "mfe_r": 14.5}, 7.0),
        ({"nearest_paise": 140.0, "exit_paise": 99.0, "mfe_r": np.nan}, -303.0),
        # and what a range's idea met is counted from the other end: 25 below it, 35 above it
        ({**WIDE, "nearest_paise": 120.0, "mae_r": 0.7}, 47.0),
        ({**WIDE, "nearest_paise": 140.0, "mfe_r": 0.5}, -303.0),
    ],
)  # fmt: skip
def test_by_hand(ends: dict[str, float], net: float) -> None:
    assert one(**ends) == net


def test_an_open_idea_has_no_result() -> None:
    assert np.isnan(one(exit_paise=np.nan))


def test_first_targets() -> None:
    found = first_targets(pd.Series([[104, 108], (96,), np.array([7]), [], None], dtype=object))
    np.testing.assert_array_equal(found, [104.0, 96.0, 7.0, np.nan, np.nan])


def reversed_group(group: TradeGroup) -> TradeGroup:
    """Turn an idea as the daemon does it."""
    plan = TradePlan(
        group.side, group.entry_type, group.entry_low_paise, group.entry_high_paise, group.stop_paise,
        group.targets_paise,
    )  # fmt: skip
    turned = reverse_plan(plan, reference_paise=group.entry_high_paise or 100, tick_paise=group.tick_paise)
    assert turned is not None
    lots = sum(leg.quantity for leg in group.legs) // group.lot_size
    return replace(
        group,
        side=turned.side,
        entry_type=turned.entry_type,
        stop_paise=turned.stop_paise,
        targets_paise=turned.targets_paise,
        legs=split_legs(lots, group.lot_size, turned.targets_paise, turned.stop_paise),
    )


def result(group: TradeGroup, outcome: Outcome) -> float:
    """What step 8 says of the reversed trade, from the outcome of the idea alone, before costs."""
    assert outcome.entry_paise is not None
    assert outcome.exit_paise is not None
    whole = sum(leg.quantity for leg in outcome.legs)
    row: dict[str, float] = {
        "sign": group.side.sign,
        "quantity": whole,
        "entry_paise": outcome.entry_paise,
        "low_paise": np.nan if group.entry_low_paise is None else group.entry_low_paise,
        "high_paise": np.nan if group.entry_high_paise is None else group.entry_high_paise,
        "stop_paise": np.nan if group.stop_paise is None else group.stop_paise,
        "nearest_paise": group.targets_paise[0],
        "exit_paise": sum(leg.exit_paise * leg.quantity for leg in outcome.legs) / whole,
        "targets_hit": outcome.targets_hit,
        "is_stopped": outcome.exit_reason is ExitReason.STOPLOSS,
        "is_target": outcome.exit_reason is ExitReason.TARGET,
        "is_ambiguous": outcome.ambiguous_bar,
        "mae_r": 0.0,
        "mfe_r": 0.0,
        "cost_paise": 0.0,
    }
    return one(**row)


def test_against_the_reversed_trade_led_through_the_same_prices() -> None:
    """Equal but for doubt, which counts as lost, and for two cases that outcomes alone do not tell."""
    rng = np.random.default_rng(11)
    found: Counter[str] = Counter()
    for number in range(1_500):
        group, bars = make_group(rng, number), make_bars(rng)
        if not group.targets_paise:
            continue
        solve = partial(
            resolve_outcome,
            bars=bars,
            followups=[],
            session_of=session_of,
            latency_ns=LATENCY,
            known_until_ns=6 * DAY,
        )
        idea, turned = solve(group), solve(reversed_group(group))
        if idea.gross_pnl_paise is None or turned.gross_pnl_paise is None:
            continue
        assert idea.entry_ns == turned.entry_ns
        said, real = result(group, idea), turned.gross_pnl_paise
        (leg,) = turned.legs
        in_entry_bar = leg.exit_ns == leg.entry_ns
        jumped = (leg.exit_paise - group.targets_paise[0]) * group.side.sign > 0
        if abs(said - real) < 1e-6:
            found["equal"] += 1
        elif said > real:
            assert in_entry_bar or jumped, (number, said, real)
            found["better"] += 1
        else:
            entry = turned.entry_paise or 0
            is_far = abs(group.targets_paise[0] - entry) > 0.3 * entry
            assert idea.ambiguous_bar or in_entry_bar or is_far, (number, said, real)
            found["worse"] += 1
    assert found["equal"] > 200
    assert found["better"] < 0.1 * found["equal"]
    assert 0 < found["worse"] < 0.5 * found["equal"]
