"""A generated day from open to close: everything ends, everything adds up, twice the same."""

import hashlib
from typing import Any

import numpy as np
import pytest

from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.engine.batch import CHAIN_START, build_batch, fold_events
from propdesk.engine.recover import JournalRow, recover
from propdesk.engine.step import carry_over, initial_state, step_all
from propdesk.model.enums import EntryType, FollowupKind, Period, Side
from propdesk.model.messages import DecisionCode
from propdesk.model.signal import Followup, Signal
from propdesk.risk.corpus_ledger import fold_entries
from propdesk.sim.broker import SimBroker
from propdesk.sim.fills import FillModel
from propdesk.strategy.crowd import fold_changes
from tests.support.engine_day import (
    CORPUS_PAISE,
    Day,
    at,
    make_context,
    make_followup,
    make_instrument,
    make_rule,
    make_ruleset,
    make_signal,
    random_bars,
)

SYMBOLS = tuple(f"S{n:02d}" for n in range(8))
ADVISORS = tuple(f"A{n:02d}" for n in range(6))


def random_signals(count: int, seed: int) -> list[Signal]:
    rng = np.random.default_rng(seed)
    signals = []
    for number in range(count):
        side = Side.BUY if rng.random() < 0.6 else Side.SELL
        entry = 10_000 + 5 * int(rng.integers(-20, 21))
        kind = list(EntryType)[int(rng.integers(0, 4))]
        risk = 5 * int(rng.integers(10, 40))
        targets = tuple(entry + side.sign * risk * k for k in range(1, int(rng.integers(1, 5))))
        low, high = (None, None) if kind is EntryType.MARKET else (entry, entry)
        if kind is EntryType.RANGE and low is not None:
            low, high = low - 20, low + 20
        signals.append(
            make_signal(
                number,
                advisor_id=ADVISORS[int(rng.integers(0, len(ADVISORS)))],
                underlying=SYMBOLS[int(rng.integers(0, len(SYMBOLS)))],
                received_ns=at(540 + int(rng.integers(0, 360)), int(rng.integers(0, 60))),
                side=side,
                entry_type=kind,
                entry_low_paise=low,
                entry_high_paise=high,
                stoploss_paise=entry - side.sign * (risk + 25),
                targets_paise=targets,
                declared_period=Period.INTRADAY,
            )
        )
    return signals


def random_followups(signals: list[Signal], seed: int) -> list[Followup]:
    rng = np.random.default_rng(seed)
    kinds = [FollowupKind.EXIT, FollowupKind.MOVE_TO_COST, FollowupKind.CANCEL, FollowupKind.PARTIAL_EXIT]
    return [
        make_followup(
            number,
            kinds[number % len(kinds)],
            signal_id=signal.signal_id,
            fraction=0.5,
            received_ns=signal.received_ns + int(rng.integers(1, 60)) * 60_000_000_000,
        )
        for number, signal in enumerate(signals[::6])
    ]


def generated_day(seed: int = 3, fills: FillModel | None = None, count: int = 60) -> Day:
    rules = make_ruleset(
        [make_rule(advisor_id=a) for a in ADVISORS[:4]],
        [make_rule(advisor_id=ADVISORS[4], is_adverse=True, post_mean_r=-0.2)],
    )
    context = make_context([make_instrument(s, lot_size=10, freeze_quantity=2_001) for s in SYMBOLS], rules)
    broker = SimBroker(fills, {f"NSE_EQ:{s}": 10 for s in SYMBOLS})
    signals = random_signals(count, seed)
    day = Day(context, broker).open()
    return day.run(random_bars(SYMBOLS, seed), signals, random_followups(signals, seed))


@pytest.mark.parametrize(
    "fills",
    [
        FillModel(),
        FillModel(seed=5, slippage_ratio=0.0005, reject_share=0.2, partial_share=0.5),
    ],
)
def test_everything_ends_and_adds_up(fills: FillModel) -> None:
    day = generated_day(fills=fills)
    state, trades = day.state, day.all("trades")
    assert len(trades) > 20
    assert all(live.is_closed for live in state.groups.values())
    assert day.broker.positions() == {}
    assert state.corpus.deployed_paise == 0
    assert state.corpus.total_paise == CORPUS_PAISE + sum(t.net_pnl_paise for t in trades)
    assert dict(state.corpus.reservations) == {}
    assert fold_entries(day.all("ledger_entries")) == state.corpus
    assert fold_changes(day.all("crowd_changes")).open == state.crowd.open
    assert all(not book for book in state.crowd.open.values())


def test_money_adds_up_after_every_event() -> None:
    day = generated_day()
    booked = 0
    for result in day.results:
        booked += sum(e.pnl_paise for e in result.ledger_entries)
        corpus = result.state.corpus
        assert corpus.free_paise + corpus.deployed_paise == corpus.total_paise
        if result.state.opening_corpus_paise:
            assert corpus.total_paise == CORPUS_PAISE + booked
        assert sum(r.amount_paise for r in corpus.reservations.values()) == corpus.deployed_paise


def test_every_signal_ends_in_exactly_one_decision() -> None:
    day = generated_day()
    codes = day.codes()
    assert len(codes) == 60
    for found in codes.values():
        final = [c for c in found if c != DecisionCode.PENDING_ENTRY]
        assert len(final) == 1
        assert found[-1] != DecisionCode.PENDING_ENTRY
    assert {"TRADED", "TRADED_REVERSE"} <= {c for found in codes.values() for c in found}


def test_no_position_is_ever_without_a_stop() -> None:
    signals = random_signals(60, 3)
    day = Day(generated_day(count=0).context, SimBroker()).open()
    rng_bars = random_bars(SYMBOLS, 3)
    by_minute: dict[int, list[Any]] = {}
    for bar in rng_bars:
        by_minute.setdefault(bar.start_ns, []).append(bar)
    waiting = sorted(signals, key=lambda s: s.received_ns)
    for start in sorted(by_minute):
        while waiting and waiting[0].received_ns < start + 60_000_000_000:
            day.signal(waiting.pop(0))
        day.bars(by_minute[start])
        assert day.broker.unprotected() == ()


def test_desired_stops_only_tighten() -> None:
    day = generated_day()
    last: dict[tuple[str, int], int] = {}
    moved = 0
    for result in day.results:
        for live in result.groups_changed:
            for leg in live.group.legs:
                key = (live.group.group_id, leg.leg_number)
                assert leg.stop_paise is not None
                before = last.get(key, leg.stop_paise)
                assert live.group.side.sign * (leg.stop_paise - before) >= 0
                moved += leg.stop_paise != before
                last[key] = leg.stop_paise
    assert moved > 0


def digest(day: Day) -> str:
    data = b"".join(
        codec.encode_values((*r.commands, *r.decisions, *r.trades, *r.ledger_entries)) for r in day.results
    )
    return hashlib.sha256(data).hexdigest()


def test_the_same_day_twice_gives_the_same_bytes() -> None:
    assert digest(generated_day()) == digest(generated_day())
    assert digest(generated_day()) != digest(generated_day(seed=4))


def journal(day: Day) -> list[JournalRow]:
    rows, state, chained = [], initial_state(day.context), CHAIN_START
    for seq, (now_ns, event) in enumerate(day.log, start=1):
        folded = fold_events(state, (event,), now_ns, day.context)
        batch = build_batch(
            folded,
            (event,),
            account_id="test",
            trade_date=day.context.trade_date,
            seq=seq,
            now_ns=now_ns,
            epoch=1,
            previous_chain_hash=chained,
            resolutions=folded.resolutions,
        )
        chained, state = batch.chain_hash, folded.state
        row = (batch.events, batch.outputs_hash, batch.chain_hash, batch.resolutions)
        rows.append(JournalRow(seq, now_ns, *row))
    return rows


def test_the_journal_folds_to_the_state_of_the_day() -> None:
    day = generated_day(count=20)
    rows = journal(day)
    found = recover(rows, {"": day.context}, day.context)
    assert found.state == day.state
    assert (found.seq, found.chain_hash) == (len(rows), rows[-1].chain_hash)


def test_folding_events_together_equals_one_after_the_other() -> None:
    day = generated_day(count=30)
    for size in (2, 7, 50):
        state = initial_state(day.context)
        commands: list[Any] = []
        decisions: list[Any] = []
        for start in range(0, len(day.log), size):
            part = day.log[start : start + size]
            moments = sorted({now for now, _ in part})
            for now in moments:
                result = step_all(state, [event for at_ns, event in part if at_ns == now], now, day.context)
                state = result.state
                commands += result.commands
                decisions += result.decisions
        assert state == day.state
        assert commands == day.all("commands")
        assert decisions == day.all("decisions")


def test_a_changed_or_missing_journal_row_is_noticed() -> None:
    day = generated_day(count=3)
    rows = journal(day)[:40]
    with pytest.raises(InvariantViolated, match="gap"):
        recover(rows[1:], {"": day.context}, day.context)
    swapped = [rows[0], JournalRow(2, rows[1].now_ns + 1, *_rest(rows[1])), *rows[2:]]
    with pytest.raises(InvariantViolated, match="journal row 2"):
        recover(swapped, {"": day.context}, day.context)


def _rest(row: JournalRow) -> tuple[bytes, str, str, bytes]:
    return row.events, row.outputs_hash, row.chain_hash, row.resolutions


def test_what_is_carried_over_survives_the_codec() -> None:
    day = generated_day(count=10)
    carried = carry_over(day.state)
    assert codec.decode_carry_over(codec.encode_carry_over(carried)) == carried
    assert len(carried.seen) == 10


def test_the_paper_exchange_survives_export_in_the_middle_of_the_day() -> None:
    whole = generated_day()
    signals = random_signals(60, 3)
    day = Day(whole.context, SimBroker()).open()
    half = at(720)
    bars = random_bars(SYMBOLS, 3)
    followups = random_followups(signals, 3)
    early = [b for b in bars if b.start_ns < half]
    words = [*signals, *followups]
    before = Day(whole.context, day.broker)
    before.open()
    _feed(before, early, [w for w in words if w.received_ns < half])
    exported = before.broker.export_state()
    revived = SimBroker()
    revived.import_state(exported)
    assert revived.export_state() == exported
    before.broker = revived
    _feed(before, [b for b in bars if b.start_ns >= half], [w for w in words if w.received_ns >= half])
    before.close()
    assert before.all("trades") == whole.all("trades")


def _feed(day: Day, bars: list[Any], words: list[Any]) -> None:
    words = sorted(words, key=lambda w: (w.received_ns, getattr(w, "signal_id", "") or ""))
    by_end: dict[int, list[Any]] = {}
    for bar in bars:
        by_end.setdefault(bar.start_ns + bar.interval_ns, []).append(bar)
    for end in sorted(by_end):
        while words and words[0].received_ns < end:
            word = words.pop(0)
            if isinstance(word, Signal):
                day.signal(word)
            else:
                day.followup(word)
        day.bars(by_end[end])
