"""Properties of the live decisions: crowd recount, sizes within budget, facts in any order."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from propdesk.engine import codec
from propdesk.engine.step import step
from propdesk.model import messages
from propdesk.model.enums import Direction, GateProfile, Side, TrustFlag
from propdesk.model.messages import BrokerUpdate, OrderIntent
from propdesk.strategy.crowd import (
    CrowdChange,
    CrowdChangeKind,
    CrowdConfig,
    fold_changes,
    read_crowd,
)
from propdesk.strategy.sizing import SizeRequest, SizingConfig, size_trade, slice_quantities
from tests.support.engine_day import Day, flat_bar, make_bar, make_context, make_instrument, make_signal

CHANGES = st.lists(
    st.builds(
        CrowdChange,
        kind=st.sampled_from(list(CrowdChangeKind)),
        signal_id=st.sampled_from([f"s{n}" for n in range(12)]),
        advisor_id=st.just("A"),
        underlying=st.just("NIFTY"),
        direction=st.just(Direction.BULLISH),
        cluster_id=st.just(""),
        ts_ns=st.integers(0, 100),
    ),
    max_size=40,
)


def told(change: CrowdChange) -> CrowdChange:
    """Everything but the kind and the time follows from the signal, as in life."""
    number = int(change.signal_id[1:])
    direction = Direction.BULLISH if number % 3 else Direction.BEARISH
    return replace(
        change,
        advisor_id=f"A{number % 5}",
        direction=direction,
        cluster_id=f"s{number - number % 2}",
        ts_ns=number,
    )


@given(CHANGES)
def test_counts_equal_a_recount_from_scratch(changes: list[CrowdChange]) -> None:
    changes = [told(c) for c in changes]
    reading = read_crowd(fold_changes(changes), "NIFTY", CrowdConfig())
    ended = {c.signal_id for c in changes if c.kind is CrowdChangeKind.CLOSED}
    voices = {
        (c.cluster_id, c.signal_id): c
        for c in changes
        if c.kind is CrowdChangeKind.OPENED and c.signal_id not in ended
    }
    first: dict[str, CrowdChange] = {}
    for _, change in sorted(voices.items(), key=lambda item: (item[1].ts_ns, item[0][1])):
        first.setdefault(change.cluster_id, change)
    bullish = sum(c.direction is Direction.BULLISH for c in first.values())
    assert (reading.bullish_positions, reading.bearish_positions) == (bullish, len(first) - bullish)
    assert reading.score is None if not first else 0.5 <= (reading.score or 0) <= 1


@given(st.data(), CHANGES)
def test_the_ledger_does_not_depend_on_order_or_repetition(
    data: st.DataObject, changes: list[CrowdChange]
) -> None:
    changes = [told(c) for c in changes]
    shuffled = data.draw(st.permutations(changes * 2))
    config = CrowdConfig()
    assert read_crowd(fold_changes(shuffled), "NIFTY", config) == read_crowd(
        fold_changes(changes), "NIFTY", config
    )


@given(
    st.builds(
        SizeRequest,
        profile=st.sampled_from(list(GateProfile)),
        side=st.sampled_from(list(Side)),
        entry_paise=st.integers(500, 5_000_000),
        stop_paise=st.integers(100, 499),
        lot_size=st.integers(1, 2_000),
        margin_per_lot_paise=st.integers(1, 100_000_000),
        corpus_paise=st.integers(0, 10**11),
        budget_free_paise=st.integers(-(10**9), 10**11),
        trust_flag=st.sampled_from([None, *TrustFlag]),
        trust_is_noise=st.booleans(),
        post_mean_r=st.floats(-1, 2),
        crowd_factor=st.floats(1, 1.5),
        traded_value_paise=st.none() | st.integers(0, 10**11),
        depth_quantity=st.none() | st.integers(0, 10**6),
    )
)
@settings(max_examples=200)
def test_a_size_never_exceeds_budget_share_or_risk(request: SizeRequest) -> None:
    config = SizingConfig()
    size = size_trade(request, config)
    assert (size.lots > 0) == (size.code is None)
    assert size.margin_paise <= max(0, request.budget_free_paise)
    if request.traded_value_paise is not None:
        assert (
            size.quantity * request.entry_paise <= config.traded_value_share * request.traded_value_paise + 1
        )
    if request.depth_quantity is not None:
        assert size.quantity <= config.depth_share * request.depth_quantity
    if request.profile is GateProfile.DESK:
        ceiling = config.risk_share * request.corpus_paise * request.crowd_factor
        assert size.planned_risk_paise <= ceiling + 1


@given(st.integers(1, 500), st.integers(1, 200), st.integers(0, 20_000))
def test_slices_are_whole_lots_within_the_freeze(lots: int, lot_size: int, freeze: int) -> None:
    slices = slice_quantities(lots * lot_size, lot_size, freeze)
    assert sum(slices) == lots * lot_size
    assert all(units > 0 and units % lot_size == 0 for units in slices)
    if freeze >= lot_size:
        assert max(slices) <= freeze


# ---------------------------------------------------------------- facts in any order


def facts_of_a_trade() -> tuple[Day, list[BrokerUpdate], int]:
    """A group of sliced legs up to the point where the broker's facts about it begin."""
    day = Day(make_context([make_instrument(lot_size=10, freeze_quantity=4_000)])).open()
    day.bars([flat_bar(599, 10_050)])
    day.signal(make_signal())
    facts: list[BrokerUpdate] = []
    for bar in (
        flat_bar(600, 10_050),
        make_bar(601, 10_050, 10_060, 9_990, 10_020),
        make_bar(602, 10_020, 10_410, 10_010, 10_405),
    ):
        facts += day.broker.on_bars([bar])
    return day, facts, bar.start_ns + bar.interval_ns


DAY_BEFORE, FACTS, NOW = facts_of_a_trade()


def book_after(updates: list[BrokerUpdate]) -> Any:
    state, trades = DAY_BEFORE.state, []
    for update in updates:
        result = step(state, update, NOW, DAY_BEFORE.context)
        state = result.state
        trades += result.trades
    (live,) = state.groups.values()
    money = sorted((t.leg_number, t.quantity, t.net_pnl_paise) for t in trades)
    quantities = [(leg.filled_quantity, leg.exited_quantity, leg.state) for leg in live.group.legs]
    return state.corpus, money, quantities


@given(st.permutations(FACTS), st.integers(1, 3))
def test_facts_repeated_and_reordered_end_in_the_same_book(facts: list[BrokerUpdate], times: int) -> None:
    assert len(FACTS) > 6
    assert book_after(facts * times) == book_after(FACTS)


# ---------------------------------------------------------------------------- codec

EVENTS = st.one_of(
    *(
        st.from_type(kind)
        for kind in (
            messages.SignalReceived,
            messages.FollowupReceived,
            messages.BarObserved,
            messages.TickObserved,
            messages.TimerFired,
            messages.BrokerUpdate,
            messages.BrokerSnapshotTaken,
            messages.ConnectionChanged,
            messages.OperatorCommand,
            messages.CommandAsked,
            messages.DayOpened,
            messages.SwitchMeasured,
        )
    )
)
OUTPUTS = st.one_of(
    *(
        st.from_type(kind)
        for kind in (
            messages.OrderIntent,
            messages.TripSwitch,
            messages.Notify,
            messages.Track,
            messages.CommandAnswer,
            messages.Decision,
            messages.CorpusEntry,
        )
    )
)


def finite(value: object) -> bool:
    return "nan" not in repr(value) and "inf" not in repr(value)


@given(st.lists(EVENTS.filter(finite), max_size=4))
def test_events_survive_the_codec_byte_for_byte(events: list[Any]) -> None:
    data = codec.encode_events(events)
    back = codec.decode_events(data)
    assert list(back) == events
    assert codec.encode_events(back) == data


@given(OUTPUTS.filter(finite))
def test_outputs_survive_the_codec(value: Any) -> None:
    plain = codec.to_plain(value)
    assert codec.from_plain(type(value), plain) == value
    if isinstance(value, OrderIntent):
        assert codec.decode_intent(plain) == value
