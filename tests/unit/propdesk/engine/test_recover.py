"""Folding a day's journal again: each segment under the context it was decided under."""

from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

import pytest

from propdesk.core.calendar import (
    AuctionRule,
    CalendarData,
    HoursRule,
    MarketCalendar,
    Segment,
    SpecialSession,
)
from propdesk.core.errors import InvariantViolated
from propdesk.engine import codec
from propdesk.engine.batch import CHAIN_START, build_batch, fold_events
from propdesk.engine.context import DayContext
from propdesk.engine.recover import JournalRow, Recovered, recover
from propdesk.engine.resolution import Question, RecordedAnswers, Resolution, news
from propdesk.engine.snapshot import ContextSnapshot, StoredContext, read_snapshot, store_form
from propdesk.engine.state import EngineState
from propdesk.engine.step import initial_state
from propdesk.execution.lifetime import LifetimeRules
from propdesk.model.enums import Category, GateProfile, Regime, ReverseMode, TradingMode
from propdesk.model.messages import (
    ContextChanged,
    DayOpened,
    Decision,
    DecisionCode,
    Event,
    SignalReceived,
    TimerFired,
)
from propdesk.risk.charges import ChargeModel, ChargeRate, ChargeSegment, Component
from propdesk.risk.gateway import RiskLimits
from propdesk.risk.kill_switch import KillLimits
from propdesk.risk.margin import MarginKind, MarginModel, MarginRate
from propdesk.strategy.crowd import CrowdConfig
from propdesk.strategy.sizing import SizingConfig
from tests.support.engine_day import (
    CORPUS_PAISE,
    DAY,
    at,
    flat_bar,
    make_context,
    make_instrument,
    make_ruleset,
    make_signal,
)

DRILL = SpecialSession("drill", ((555, 600), (690, 750)))
AUCTION = AuctionRule(Segment.CASH, date(2020, 1, 1), 910, 930)
NO_RULES = replace(make_ruleset(), ruleset_version="none")


@dataclass
class Journal:
    """A day's rows, written by whatever context is the present one."""

    context: DayContext
    state: EngineState = field(init=False)
    rows: list[JournalRow] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    known: dict[Question, Resolution] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = initial_state(self.context)

    def write(self, now_ns: int, *events: Event) -> None:
        folded = fold_events(self.state, events, now_ns, self.context)
        batch = build_batch(
            folded,
            events,
            account_id="test",
            trade_date=DAY,
            seq=len(self.rows) + 1,
            now_ns=now_ns,
            epoch=1,
            previous_chain_hash=self.rows[-1].chain_hash if self.rows else CHAIN_START,
            resolutions=news(folded.resolutions, self.known),
        )
        self.known |= {answer.question: answer for answer in folded.resolutions}
        self.state = folded.state
        self.decisions += folded.decisions
        row = (batch.events, batch.outputs_hash, batch.chain_hash, batch.resolutions)
        self.rows.append(JournalRow(batch.seq, now_ns, *row))


def opened(name: str, at_ns: int, *, ready: bool = True) -> DayOpened:
    return DayOpened(DAY.isoformat(), "v1", CORPUS_PAISE, ready, at_ns, name)


def received(number: int, minute: int) -> SignalReceived:
    return SignalReceived(make_signal(number, received_ns=at(minute)), number)


def a_day_of_two_contexts() -> tuple[Journal, dict[str, DayContext]]:
    """Before pre-market nothing is known; then the rules come and a signal trades."""
    contexts = {"early": make_context(rules=NO_RULES), "ready": make_context()}
    day = Journal(contexts["early"])
    day.write(at(580), opened("early", at(580), ready=False))
    day.write(at(600), flat_bar(599, 10_000), received(1, 600))
    day.context = contexts["ready"]
    day.write(at(601), opened("ready", at(601)))
    day.write(at(640), flat_bar(639, 10_000), received(2, 640))
    return day, contexts


def test_each_segment_is_folded_under_its_own_context() -> None:
    day, contexts = a_day_of_two_contexts()
    assert [d.code for d in day.decisions] == [DecisionCode.NOT_READY, DecisionCode.TRADED]
    found = recover(day.rows, contexts, contexts["ready"])
    assert found.state == day.state
    assert (found.seq, found.context_hash) == (4, "ready")


@pytest.mark.parametrize("name", ["early", "ready"])
def test_one_context_for_the_whole_day_would_not_do(name: str) -> None:
    day, contexts = a_day_of_two_contexts()
    only = dict.fromkeys(contexts, contexts[name])
    with pytest.raises(InvariantViolated, match="folds to other outputs"):
        recover(day.rows, only, contexts[name])


def test_a_changed_setting_begins_a_segment_and_changes_nothing_before_it() -> None:
    contexts = {"a": make_context(), "b": make_context(stale_after_ns=0, signal_fresh_ns=0)}
    day = Journal(contexts["a"])
    day.write(at(580), opened("a", at(580)))
    day.write(at(601, 5), flat_bar(600, 10_000), received(1, 601))
    day.context = contexts["b"]
    day.write(at(601, 6), ContextChanged("b", at(601, 6)))
    day.write(at(603, 5), flat_bar(602, 10_000), received(2, 603))
    assert [d.code for d in day.decisions] == [DecisionCode.TRADED, DecisionCode.STALE]
    found = recover(day.rows, contexts, contexts["b"])
    assert (found.state, found.context_hash) == (day.state, "b")


def test_the_master_is_not_asked_again_whatever_it_would_say() -> None:
    day = Journal(make_context())
    day.write(at(580), opened("a", at(580)))
    day.write(at(600), flat_bar(599, 10_000), received(1, 600))
    for other in (make_instrument(tick_paise=50, lot_size=25), make_instrument("BETA")):
        reloaded = make_context([other])
        assert recover(day.rows, {"a": reloaded}, reloaded).state == day.state


def test_an_answer_is_journalled_once_and_again_only_when_it_changes() -> None:
    day = Journal(make_context())
    day.write(at(540), opened("a", at(540)))
    day.write(at(541), received(1, 541))  # before the open: waits, and is asked for by every timer
    day.write(at(542), TimerFired("MINUTE", at(542)))
    day.context = make_context([make_instrument(security_id="other")])
    day.write(at(543), TimerFired("MINUTE", at(543)))
    counts = [len(codec.decode_resolutions(row.resolutions)) for row in day.rows]
    assert counts == [0, 1, 0, 1]
    assert recover(day.rows, {"a": make_context()}, make_context()).state == day.state


def fold(rows: list[JournalRow], contexts: dict[str, DayContext]) -> Recovered:
    return recover(rows, contexts, make_context())


def test_a_context_that_is_not_stored_stops_the_fold() -> None:
    day, contexts = a_day_of_two_contexts()
    with pytest.raises(InvariantViolated, match="row 3 was decided under a context that is not stored"):
        fold(day.rows, {"early": contexts["early"]})
    with pytest.raises(InvariantViolated, match="row 1 was decided under a context"):
        fold([replace(day.rows[1], seq=1)], contexts)


def test_a_changed_or_missing_answer_is_noticed() -> None:
    day, contexts = a_day_of_two_contexts()
    other = replace(next(iter(day.known.values())), found=make_instrument(security_id="other"))
    changed = replace(day.rows[1], resolutions=codec.encode_values((other,)))
    with pytest.raises(InvariantViolated, match="row 2"):
        fold([day.rows[0], changed], contexts)
    with pytest.raises(InvariantViolated, match="holds no instrument"):
        fold([day.rows[0], replace(day.rows[1], resolutions=b"[]")], contexts)


def test_an_event_before_the_one_that_names_the_context_is_refused() -> None:
    day = Journal(make_context())
    day.write(at(580), TimerFired("MINUTE", at(580)), opened("a", at(580)))
    with pytest.raises(InvariantViolated, match="first event of its batch"):
        fold(day.rows, {"a": make_context()})


def test_recorded_answers_know_nothing_but_what_was_recorded() -> None:
    answers = RecordedAnswers()
    signal = make_signal()
    with pytest.raises(InvariantViolated, match="holds no instrument for revision 1"):
        answers(signal, DAY)
    answers.learn([Resolution(signal.signal_id, 1, DAY, "EXPIRED")])
    answers.learn([Resolution(signal.signal_id, 1, DAY, make_instrument())])
    assert answers(signal, DAY) == make_instrument()


# ------------------------------------------------------------------ snapshot


def make_snapshot(**changes: Any) -> ContextSnapshot:
    hours = tuple(HoursRule(s, date(2020, 1, 1), 555, 930, 910) for s in Segment)
    base = ContextSnapshot(
        account_id="test",
        trade_date=DAY,
        ruleset_version="v1",
        profile=GateProfile.DESK,
        regimes={"MARKET": Regime.SIDEWAYS, "NIFTY": None},
        calendar=CalendarData((DAY,), hours, {DAY: DRILL}, (AUCTION,)),
        margin=MarginModel((MarginRate(MarginKind.CNC, date(2020, 1, 1), 1_000_000),), (1, 2, 3, 4), "m1"),
        charges=ChargeModel(
            (ChargeRate(Component.BROKERAGE, ChargeSegment.INTRADAY, date(2020, 1, 1), 3, 2_000),),
            18,
            1_350,
            "c1",
        ),
        allocations={Category.NSE_EQ: 0.5},
        adverse_allocation=0.1,
        regime_scope="market",
        trading_mode=TradingMode.PAPER,
        sizing=SizingConfig(),
        limits=RiskLimits(banned=frozenset({"B", "A"})),
        kill_limits=KillLimits(),
        crowd=CrowdConfig(),
        lifetime=LifetimeRules(),
        latency_ns=1,
        drift_limits={Category.NSE_EQ: 0.01},
        stale_after_ns=2,
        signal_fresh_ns=3,
        price_wait_ns=4,
        entry_cutoff_ns=5,
        duplicate_window_ns=6,
        duplicate_entry_ratio=0.005,
        reverse_mode=ReverseMode.PAPER,
        reverse_option_mode="off",
        allow_looser_stoploss=False,
        average_traded_value={"NSE_EQ:ALPHA": 7},
    )
    return replace(base, **changes)


def test_a_snapshot_survives_being_stored() -> None:
    snapshot = make_snapshot()
    found = read_snapshot(store_form(snapshot))
    assert found == snapshot
    assert all(isinstance(key, Category) for key in (*found.allocations, *found.drift_limits))
    assert found.margin.share_ppm(MarginKind.CNC, DAY) == 1_000_000
    assert found.calendar.special == {DAY: DRILL}
    assert MarketCalendar.of(found.calendar).data == snapshot.calendar


def test_the_hash_names_the_content() -> None:
    one = store_form(make_snapshot())
    assert one == store_form(make_snapshot(limits=RiskLimits(banned=frozenset({"A", "B"}))))
    assert one.context_hash != store_form(make_snapshot(stale_after_ns=9)).context_hash
    with pytest.raises(InvariantViolated, match="was changed"):
        read_snapshot(StoredContext(one.context_hash, one.content + b" "))


def test_every_datum_of_the_context_is_in_the_snapshot() -> None:
    """A field that a decision reads but no snapshot holds could not be folded again."""
    code = {"resolve", "period_rule", "product_rule"}
    named = {"ruleset"}
    kept = {f.name for f in fields(ContextSnapshot)} - {"ruleset_version"}
    assert {f.name for f in fields(DayContext)} - code - named == kept
