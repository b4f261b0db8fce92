"""A small trading day in memory: context, signals, bars, and the loop that a daemon would run."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np

from adapters.config_gates import load_gates
from propdesk.core.calendar import HoursRule, MarketCalendar, Segment, ist_midnight_ns
from propdesk.core.clock import NS_PER_MINUTE
from propdesk.core.errors import Rejected
from propdesk.engine.context import DayContext
from propdesk.engine.state import EngineState, StepResult
from propdesk.engine.step import initial_state, step
from propdesk.model.enums import (
    Category,
    EntryType,
    FollowupKind,
    GateProfile,
    Period,
    Regime,
    RuleLevel,
    Session,
    Side,
    TrustFlag,
    Weekday,
)
from propdesk.model.instrument import Instrument
from propdesk.model.messages import (
    BarObserved,
    BrokerUpdate,
    BrokerUpdateKind,
    DayOpened,
    Event,
    FollowupReceived,
    OrderIntent,
    SignalReceived,
    TimerFired,
)
from propdesk.model.rule import GateResult, Rule, RuleKey, RuleSet
from propdesk.model.signal import Followup, Signal
from propdesk.sim.broker import SimBroker
from propdesk.strategy.eligibility import choose_product

DAY = date(2025, 7, 1)
CORPUS_PAISE = 1_000_000_000
OPEN_MINUTE = 9 * 60 + 15
CLOSE_MINUTE = 15 * 60 + 30


def at(minute: int, second: int = 0, day: date = DAY) -> int:
    """ns UTC of a minute of the IST day."""
    return ist_midnight_ns(day) + minute * NS_PER_MINUTE + second * 1_000_000_000


def make_calendar() -> MarketCalendar:
    """Weekdays of May to October 2025, ordinary hours."""
    days = [
        date.fromordinal(n)
        for n in range(date(2025, 5, 1).toordinal(), date(2025, 10, 31).toordinal())
        if date.fromordinal(n).weekday() < 5
    ]
    start = date(2020, 1, 1)
    hours = [HoursRule(s, start, OPEN_MINUTE, CLOSE_MINUTE, 15 * 60 + 10) for s in Segment]
    return MarketCalendar(days, hours)


def make_instrument(symbol: str = "ALPHA", **changes: Any) -> Instrument:
    """A cash share with tick 0.05 and lot 1."""
    base = Instrument(
        instrument_key=f"NSE_EQ:{symbol}",
        category=Category.NSE_EQ,
        underlying=symbol,
        expiry=None,
        strike_paise=None,
        option_type=None,
        exchange_segment="NSE_EQ",
        security_id=symbol,
        lot_size=1,
        tick_paise=5,
        freeze_quantity=0,
        series="EQ",
        has_derivatives=False,
        valid_from=date(2020, 1, 1),
        valid_to=date(2030, 1, 1),
    )
    return replace(base, **changes)


def make_signal(number: int = 1, **changes: Any) -> Signal:
    """A BUY LIMIT idea at 100.00, stop 98.00, targets 102 and 104, received at 10:00:30."""
    base = Signal(
        signal_id=f"signal-{number:04d}",
        revision=1,
        source="test",
        source_message_id=str(number),
        advisor_id="A01",
        advisor_name="Advisor 1",
        sebi_reg_no=None,
        posted_ns=at(600),
        received_ns=at(600, 30),
        category=Category.NSE_EQ,
        underlying="ALPHA",
        expiry=None,
        strike_paise=None,
        option_type=None,
        side=Side.BUY,
        entry_type=EntryType.LIMIT,
        entry_low_paise=10_000,
        entry_high_paise=10_000,
        stoploss_paise=9_800,
        targets_paise=(10_200, 10_400),
        declared_period=Period.INTRADAY,
        group_key=None,
    )
    return replace(base, **changes)


def make_followup(number: int, kind: FollowupKind, **changes: Any) -> Followup:
    """A follow-up of the first signal at 10:30."""
    base = Followup(f"followup-{number}", "signal-0001", "test", "A01", "ALPHA", at(630), at(630), kind)
    return replace(base, **changes)


def make_rule(level: RuleLevel = RuleLevel.MINI, **changes: Any) -> Rule:
    """A passing rule of advisor A01 for intraday shares."""
    dims: dict[str, Any] = {"category": Category.NSE_EQ, "period": Period.INTRADAY}
    if level in (RuleLevel.RULE_6D, RuleLevel.MINI_REGIME):
        dims["regime"] = Regime.SIDEWAYS
    if level is RuleLevel.RULE_6D:
        dims |= {"weekday": Weekday.TUESDAY, "session": Session.MORNING}
    base = Rule(
        key=RuleKey(level, changes.pop("advisor_id", "A01"), **dims),
        profile=GateProfile.DESK,
        passes=True,
        is_adverse=False,
        n=40,
        n_days=30,
        post_mean_r=0.15,
        prob_edge=0.95,
        trust_flag=TrustFlag.TRUSTED,
        trust_is_noise=False,
        wse_p90=0.02,
        mean_post_sl_extension=0.001,
        stopped_trades=12,
    )
    return replace(base, **changes)


def make_ruleset(
    rules: Iterable[Rule] = (), adverse: Iterable[Rule] = (), profile: GateProfile = GateProfile.DESK
) -> RuleSet:
    """Rules by key."""
    minimums = load_gates().match_minimums(profile)
    return RuleSet("v1", profile, {r.key: r for r in rules}, {r.key: r for r in adverse}, minimums)


def failing(rule: Rule, gate: str = "profit_factor") -> Rule:
    """The same rule failing one gate."""
    return replace(rule, passes=False, gates=(GateResult(gate, 0.9, 1.2, False),))


def fifth_margin(*, price_paise: int, quantity: int, **_: Any) -> int:
    """A fifth of the value."""
    return price_paise * quantity // 5


def flat_charges(*, quantity: int, **_: Any) -> int:
    """Ten paise per unit."""
    return 10 * quantity


def make_context(
    instruments: Sequence[Instrument] = (), rules: RuleSet | None = None, **changes: Any
) -> DayContext:
    """A day on which A01's intraday ideas trade."""
    known = {i.underlying: i for i in (instruments or [make_instrument()])}
    base = DayContext(
        account_id="test",
        trade_date=DAY,
        ruleset=make_ruleset([make_rule()]) if rules is None else rules,
        profile=GateProfile.DESK,
        regimes={"MARKET": Regime.SIDEWAYS},
        resolve=lambda signal, _day: known.get(signal.underlying, "UNKNOWN_SYMBOL"),
        period_rule=lambda _signal, _instrument: Period.INTRADAY,
        product_rule=choose_product,
        calendar=make_calendar(),
        margin=fifth_margin,
        charges=flat_charges,
        allocations={Category.NSE_EQ: 0.5, Category.INDEX_FUT: 0.3},
    )
    return replace(base, **changes)


def make_bar(
    minute: int,
    open_: int,
    high: int,
    low: int,
    close: int,
    key: str = "NSE_EQ:ALPHA",
    volume: int = 1_000_000,
) -> BarObserved:
    """The bar that starts at a minute of the day."""
    return BarObserved(key, at(minute), NS_PER_MINUTE, open_, high, low, close, volume)


def flat_bar(minute: int, price: int, key: str = "NSE_EQ:ALPHA") -> BarObserved:
    """A bar of one price."""
    return make_bar(minute, price, price, price, price, key)


def random_bars(symbols: Sequence[str], seed: int) -> list[BarObserved]:
    """A day of random-walk minute bars per symbol around 100.00."""
    rng = np.random.default_rng(seed)
    bars = []
    for symbol in symbols:
        price = 10_000
        for minute in range(OPEN_MINUTE, CLOSE_MINUTE):
            steps = rng.integers(-3, 4, size=4) * 5
            path = price + np.cumsum(steps)
            points = [price, *(int(p) for p in path)]
            bars.append(make_bar(minute, points[0], max(points), min(points), points[-1], f"NSE_EQ:{symbol}"))
            price = max(500, points[-1])
    return bars


@dataclass
class Day:
    """The loop of a daemon without any I/O: events in, intents to the paper broker, facts back in."""

    context: DayContext
    broker: SimBroker = field(default_factory=SimBroker)
    state: EngineState = field(init=False)
    results: list[StepResult] = field(default_factory=list)
    log: list[tuple[int, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = initial_state(self.context)

    def open(self, *, ready: bool = True, corpus: int = CORPUS_PAISE) -> "Day":
        """Open the day before the market does."""
        event = DayOpened(self.context.trade_date.isoformat(), "v1", corpus, ready, at(530))
        self.feed(event, at(530))
        return self

    def feed(self, event: Event, now_ns: int) -> StepResult:
        """Step once and let the broker answer whatever goes out."""
        result = step(self.state, event, now_ns, self.context)
        self.log.append((now_ns, event))
        self.state = result.state
        self.results.append(result)
        for command in result.commands:
            if isinstance(command, OrderIntent):
                for update in self._answer(command):
                    self.feed(update, now_ns)
        return result

    def _answer(self, intent: OrderIntent) -> tuple[BrokerUpdate, ...]:
        try:
            return self.broker.handle(intent)[1]
        except Rejected as refusal:
            name = intent.correlation_id
            update_id = f"{intent.intent_id}|REJECTED"
            return (
                BrokerUpdate(
                    update_id,
                    BrokerUpdateKind.REJECTED,
                    name,
                    "",
                    0,
                    0,
                    intent.created_ns,
                    str(refusal),
                    answers=intent.kind,
                ),
            )

    def bars(self, bars: Iterable[BarObserved]) -> None:
        """Bars of one minute, the broker's facts, then the timer."""
        group = list(bars)
        now = group[0].start_ns + group[0].interval_ns
        updates = self.broker.on_bars(group)
        for bar in group:
            self.feed(bar, now)
        for update in updates:
            self.feed(update, now)
        self.feed(TimerFired("MINUTE", now), now)

    def signal(self, signal: Signal, now_ns: int | None = None) -> StepResult:
        """A signal arrives when it is received."""
        return self.feed(SignalReceived(signal, 1), signal.received_ns if now_ns is None else now_ns)

    def followup(self, followup: Followup) -> StepResult:
        """A follow-up arrives when it is received."""
        return self.feed(FollowupReceived(followup, 1), followup.received_ns)

    def close(self) -> None:
        """The session ends."""
        now = at(CLOSE_MINUTE)
        for update in self.broker.end_session(now):
            self.feed(update, now)
        self.feed(TimerFired("SESSION_CLOSE", now), now)

    def run(
        self, bars: Sequence[BarObserved], signals: Sequence[Signal] = (), followups: Sequence[Followup] = ()
    ) -> "Day":
        """A whole day in the order in which things become known."""
        by_end: dict[int, list[BarObserved]] = defaultdict(list)
        for bar in bars:
            by_end[bar.start_ns + bar.interval_ns].append(bar)
        words: list[tuple[int, str, Signal | Followup]] = [(s.received_ns, s.signal_id, s) for s in signals]
        words += [(f.received_ns, f.followup_id, f) for f in followups]
        words.sort(key=lambda w: (w[0], w[1]))
        for end_ns in sorted(by_end):
            while words and words[0][0] < end_ns:
                self._hear(words.pop(0)[2])
            self.bars(by_end[end_ns])
        for _, _, word in words:
            self._hear(word)
        self.close()
        return self

    def _hear(self, word: Signal | Followup) -> None:
        if isinstance(word, Signal):
            self.signal(word)
        else:
            self.followup(word)

    def all(self, name: str) -> list[Any]:
        """Everything the day put out under one field of the results, in order."""
        return [item for result in self.results for item in getattr(result, name)]

    def codes(self) -> dict[str, list[str]]:
        """Decision codes by signal, in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for decision in self.all("decisions"):
            found[decision.signal_id].append(decision.code.value)
        return dict(found)
