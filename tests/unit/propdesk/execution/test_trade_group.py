import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.execution.trade_group import (
    apply_event,
    apply_followup,
    average_entry,
    due_actions,
    gross_pnl_paise,
    is_finished,
    split_legs,
)
from propdesk.model.enums import ExitReason, FollowupKind, Side
from propdesk.model.order import LegActionKind, LegEvent, LegEventKind, LegState, TradeGroup
from tests.support.groups import entered, followup, group, stopped, target_hit


def played(start: TradeGroup, *events: LegEvent) -> TradeGroup:
    for event in events:
        start, _ = apply_event(start, event)
    return start


def opened(**changes: object) -> TradeGroup:
    start = group(**changes)  # type: ignore[arg-type]
    price = start.entry_low_paise or 0
    return played(start, *(entered(leg.leg_number, price, leg.quantity) for leg in start.legs))


@pytest.mark.parametrize(
    ("lots", "targets", "expected"),
    [
        (7, (1, 2, 3), [(3, 1), (2, 2), (2, 3)]),
        (3, (1, 2, 3), [(1, 1), (1, 2), (1, 3)]),
        (2, (1, 2, 3), [(1, 1), (1, 2)]),
        (1, (1, 2, 3), [(1, 1)]),
        (5, (), [(5, None)]),
        (5, (9,), [(5, 9)]),
    ],
)
def test_lots_are_shared_among_the_nearest_targets(
    lots: int, targets: tuple[int, ...], expected: list[tuple[int, int | None]]
) -> None:
    legs = split_legs(lots, 75, targets, 50)
    assert [(leg.lots, leg.target_paise) for leg in legs] == expected
    assert sum(leg.quantity for leg in legs) == lots * 75
    assert [leg.leg_number for leg in legs] == list(range(1, len(legs) + 1))


def test_no_lots_is_no_group() -> None:
    with pytest.raises(InvariantViolated):
        split_legs(0, 75, (1,), None)


def test_trailing_chain_of_the_published_example() -> None:
    trade, actions = apply_event(opened(), target_hit(1, 142))
    assert [(a.kind, a.leg_number, a.price_paise) for a in actions] == [
        (LegActionKind.MODIFY_STOP, 2, 127),
        (LegActionKind.MODIFY_STOP, 3, 127),
    ]
    trade, actions = apply_event(trade, target_hit(2, 171))
    assert [(a.leg_number, a.price_paise) for a in actions] == [(3, 142)]
    trade, actions = apply_event(trade, stopped(3, 142))
    assert actions == ()
    assert trade.legs[2].exit_reason is ExitReason.TRAILED_STOP
    assert is_finished(trade)
    assert gross_pnl_paise(trade) == 75 * (142 - 127 + 171 - 127 + 142 - 127)


def test_stop_before_any_target_is_the_stoploss() -> None:
    trade = played(opened(), stopped(1, 110), stopped(2, 110), stopped(3, 110))
    assert {leg.exit_reason for leg in trade.legs} == {ExitReason.STOPLOSS}


def test_average_entry_moves_stops_towards_profit_on_the_tick() -> None:
    trade = group(tick=5, targets=(140, 170), lots=2)
    trade = played(trade, entered(1, 127), entered(2, 127))
    _, actions = apply_event(trade, target_hit(1, 140))
    assert [a.price_paise for a in actions] == [130]


def test_short_side_is_the_mirror() -> None:
    trade = opened(side=Side.SELL, entry=127, stop=140, targets=(110, 100))
    trade, actions = apply_event(trade, target_hit(1, 110, quantity=150))
    assert [(a.leg_number, a.price_paise) for a in actions] == [(2, 127)]
    assert gross_pnl_paise(trade) == 150 * 17


def test_repeated_facts_change_nothing() -> None:
    trade = played(opened(), target_hit(1, 142))
    again, actions = apply_event(trade, target_hit(1, 142))
    assert again == trade
    assert actions == ()


def test_partial_fills_are_cumulative_and_late_ones_ignored() -> None:
    trade = played(group(), entered(1, 126, 50), entered(1, 127, 75), entered(1, 126, 50))
    assert trade.legs[0].filled_quantity == 75
    assert trade.legs[0].entry_notional_paise == 127 * 75
    assert trade.legs[0].entry_ns == 1


def test_exit_heard_before_its_entry_is_priced_when_the_entry_arrives() -> None:
    trade = played(group(targets=(142,), lots=1), target_hit(1, 142))
    assert trade.legs[0].state is LegState.CLOSED
    assert average_entry(trade) is None
    trade = played(trade, entered(1))
    assert average_entry(trade) == 127
    assert gross_pnl_paise(trade) == 75 * 15


def test_remainder_of_a_part_fill_is_withdrawn_once_its_target_filled() -> None:
    trade = played(group(targets=(142,), lots=2), entered(1, 127, 75))
    trade, actions = apply_event(trade, target_hit(1, 142, 75))
    assert trade.legs[0].state is LegState.CLOSED
    assert [a.kind for a in actions] == [LegActionKind.CANCEL_ENTRY]


def test_waiting_siblings_are_withdrawn_after_a_target() -> None:
    trade = played(group(), entered(1))
    _, actions = apply_event(trade, target_hit(1, 142))
    assert [(a.kind, a.leg_number) for a in actions] == [
        (LegActionKind.CANCEL_ENTRY, 2),
        (LegActionKind.CANCEL_ENTRY, 3),
    ]


def test_overfill_is_a_broken_promise() -> None:
    with pytest.raises(InvariantViolated):
        apply_event(group(), entered(1, 127, 76))


def test_gap_through_ends_the_idea_without_a_trade() -> None:
    trade = group()
    for leg in trade.legs:
        trade, _ = apply_event(trade, LegEvent(LegEventKind.GAPPED_THROUGH, leg.leg_number, 250, 0, 5))
    assert trade.gapped_through
    assert is_finished(trade)
    assert average_entry(trade) is None


def test_fill_after_a_cancel_is_still_a_fill() -> None:
    trade = played(group(), LegEvent(LegEventKind.ENTRY_CANCELLED, 1, 0, 0, 4), entered(1))
    assert trade.legs[0].state is LegState.OPEN


def test_stop_update_tightens_and_refuses_to_loosen() -> None:
    trade, actions = apply_followup(opened(), followup(FollowupKind.UPDATE_STOPLOSS, stoploss_paise=120))
    assert {a.price_paise for a in actions} == {120}
    same, actions = apply_followup(trade, followup(FollowupKind.UPDATE_STOPLOSS, stoploss_paise=100))
    assert (same, actions) == (trade, ())
    looser, actions = apply_followup(
        trade, followup(FollowupKind.UPDATE_STOPLOSS, stoploss_paise=100), allow_loosening=True
    )
    assert {leg.stop_paise for leg in looser.legs} == {100}
    assert len(actions) == 3


def test_stop_update_never_crosses_a_target() -> None:
    trade, actions = apply_followup(opened(), followup(FollowupKind.UPDATE_STOPLOSS, stoploss_paise=150))
    assert [a.leg_number for a in actions] == [2, 3]
    assert trade.legs[0].stop_paise == 110


def test_target_update_reaches_the_legs_still_alive_nearest_first() -> None:
    trade = played(opened(), target_hit(1, 142))
    trade, actions = apply_followup(trade, followup(FollowupKind.UPDATE_TARGET, targets_paise=(220, 180)))
    assert [(a.kind, a.leg_number, a.price_paise) for a in actions] == [
        (LegActionKind.MODIFY_TARGET, 2, 180),
        (LegActionKind.MODIFY_TARGET, 3, 220),
    ]


def test_move_to_cost_needs_a_fill() -> None:
    assert apply_followup(group(), followup(FollowupKind.MOVE_TO_COST))[1] == ()
    _, actions = apply_followup(opened(), followup(FollowupKind.MOVE_TO_COST))
    assert [a.price_paise for a in actions] == [127, 127, 127]


def test_partial_exit_closes_that_share_of_lots_rounded_down_nearest_targets_first() -> None:
    trade = opened(lots=7)
    _, actions = apply_followup(trade, followup(FollowupKind.PARTIAL_EXIT, fraction=0.6))
    assert [(a.leg_number, a.quantity) for a in actions] == [(1, 225), (2, 75)]
    _, actions = apply_followup(opened(lots=1), followup(FollowupKind.PARTIAL_EXIT, fraction=0.5))
    assert actions == ()


def test_exit_closes_what_is_open_and_withdraws_what_waits() -> None:
    trade = played(group(), entered(1))
    _, actions = apply_followup(trade, followup(FollowupKind.EXIT))
    assert [(a.kind, a.leg_number) for a in actions] == [
        (LegActionKind.CANCEL_ENTRY, 2),
        (LegActionKind.CANCEL_ENTRY, 3),
        (LegActionKind.EXIT, 1),
    ]
    assert actions[-1].reason is ExitReason.FOLLOWUP_EXIT


@pytest.mark.parametrize("kind", [FollowupKind.CARRY, FollowupKind.ADD, FollowupKind.UNCLEAR])
def test_other_words_change_nothing(kind: FollowupKind) -> None:
    trade = opened()
    assert apply_followup(trade, followup(kind)) == (trade, ())


def test_reverse_group_takes_the_advisors_stop_as_its_target() -> None:
    trade = opened(side=Side.SELL, stop=142, targets=(110,), lots=1, is_reverse=True)
    moved, actions = apply_followup(trade, followup(FollowupKind.UPDATE_STOPLOSS, stoploss_paise=115))
    assert [(a.kind, a.price_paise) for a in actions] == [(LegActionKind.MODIFY_TARGET, 115)]
    moved, actions = apply_followup(moved, followup(FollowupKind.UPDATE_TARGET, targets_paise=(160, 138)))
    assert [(a.kind, a.price_paise) for a in actions] == [(LegActionKind.MODIFY_STOP, 138)]


def test_time_withdraws_entries_then_closes() -> None:
    trade = played(group(), entered(1))
    assert due_actions(trade, 999)[1] == ()
    assert [a.kind for a in due_actions(trade, 1_000)[1]] == [LegActionKind.CANCEL_ENTRY] * 2
    last = due_actions(trade, 2_000)[1][-1]
    assert (last.kind, last.reason, last.quantity) == (LegActionKind.EXIT, ExitReason.SQUARE_OFF, 75)
