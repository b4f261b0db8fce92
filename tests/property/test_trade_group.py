"""Promises of the trade group whatever is told in whatever order (I6 to I12, I22, I23)."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from propdesk.execution.trade_group import apply_event, split_legs
from propdesk.model.enums import Side
from propdesk.model.order import TradeGroup
from tests.support.groups import entered, group, stopped, target_hit
from tests.sweeps import outcome_equality as sweep


@given(st.integers(1, 60), st.integers(1, 200), st.lists(st.integers(1, 9_999), max_size=10, unique=True))
def test_legs_hold_all_lots_and_each_at_least_one(lots: int, lot_size: int, targets: list[int]) -> None:
    legs = split_legs(lots, lot_size, sorted(targets), None)
    assert sum(leg.lots for leg in legs) == lots
    assert len(legs) == max(1, min(lots, len(targets)))
    assert all(leg.lots >= 1 and leg.quantity == leg.lots * lot_size for leg in legs)
    assert all(legs[0].lots >= leg.lots for leg in legs)


EVENTS = (
    entered(1),
    entered(2),
    entered(3),
    target_hit(1, 142, at=10),
    target_hit(2, 171, at=20),
    stopped(3, 142, at=30),
)


def told(events: tuple[object, ...]) -> TradeGroup:
    state = group()
    for event in events:
        state, _ = apply_event(state, event)  # type: ignore[arg-type]
    return state


@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=4))
def test_order_and_repeats_of_facts_do_not_matter(order: list[object], repeats: list[object]) -> None:
    def facts(state: TradeGroup) -> list[object]:
        return [
            (
                *(leg.state, leg.filled_quantity, leg.exited_quantity, leg.entry_notional_paise),
                *(leg.exit_notional_paise, leg.exit_reason, leg.exit_target, leg.entry_ns, leg.exit_ns),
            )
            for leg in state.legs
        ]

    straight = told(EVENTS)
    shuffled = told((*order, *repeats))
    assert facts(shuffled) == facts(straight)
    assert shuffled.targets_hit == straight.targets_hit


@given(st.permutations(EVENTS))
def test_stops_only_move_towards_profit(order: list[object]) -> None:
    state = group()
    for event in order:
        after, _ = apply_event(state, event)  # type: ignore[arg-type]
        for before, leg in itertools.zip_longest(state.legs, after.legs):
            assert leg.stop_paise >= before.stop_paise
            assert leg.filled_quantity >= before.filled_quantity
            assert leg.exited_quantity >= before.exited_quantity
            assert leg.exited_quantity <= leg.filled_quantity <= leg.quantity
        state = after


@given(st.integers(0, 10_000))
def test_a_sold_idea_is_the_mirror_of_a_bought_one(seed: int) -> None:
    """f(mirror(x)) = mirror(f(x)) through entries, exits and the chain, on a grid of tick 1."""
    from dataclasses import replace

    from propdesk.pipeline.outcome import resolve_outcome

    rng = np.random.default_rng(seed)
    idea = replace(sweep.make_group(rng, 1), tick_paise=1)
    bars = sweep.make_bars(rng)
    middle = 400

    def flip(level: int | None) -> int | None:
        return None if level is None else middle - level

    mirrored = replace(
        idea,
        side=idea.side.opposite,
        entry_low_paise=flip(idea.entry_high_paise),
        entry_high_paise=flip(idea.entry_low_paise),
        stop_paise=flip(idea.stop_paise),
        targets_paise=tuple(middle - t for t in idea.targets_paise),
        legs=tuple(
            replace(leg, stop_paise=flip(leg.stop_paise), target_paise=flip(leg.target_paise))
            for leg in idea.legs
        ),
    )
    turned = [
        replace(
            b,
            open_paise=middle - b.open_paise,
            high_paise=middle - b.low_paise,
            low_paise=middle - b.high_paise,
            close_paise=middle - b.close_paise,
        )
        for b in bars
    ]
    terms = {"session_of": sweep.session_of, "latency_ns": 7, "known_until_ns": 6 * sweep.DAY}
    found = resolve_outcome(idea, bars, [], **terms)  # type: ignore[arg-type]
    other = resolve_outcome(mirrored, turned, [], **terms)  # type: ignore[arg-type]
    assert other.side is not found.side
    assert (other.exit_reason, other.entry_ns, other.exit_ns) == (
        found.exit_reason,
        found.entry_ns,
        found.exit_ns,
    )
    assert other.gross_pnl_paise == found.gross_pnl_paise
    assert flip(other.entry_paise) == found.entry_paise
    assert {Side.BUY, Side.SELL} == {found.side, other.side}
