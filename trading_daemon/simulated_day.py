"""A market day in memory: the daemon's own day without its process (§4.8, §5.9).

What a replay does in lockstep over queues and a database, this does in one loop: the same reducer decides,
the same queue orders what is sent, the same exchange fills. Nothing is stored.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from propdesk.core.errors import Rejected
from propdesk.engine.batch import Folded, fold_events
from propdesk.engine.context import DayContext
from propdesk.engine.state import CarryOver, EngineState, ExecutedTrade, LiveGroup
from propdesk.engine.step import carry_over, initial_state
from propdesk.engine.timers import open_pnl_paise
from propdesk.engine.turn import Turn
from propdesk.intake.aliases import Aliases
from propdesk.model.enums import KillLevel
from propdesk.model.live import Answer, InboxRow, IntentState
from propdesk.model.messages import (
    BrokerUpdate,
    DayOpened,
    Event,
    OperatorCommand,
    OrderIntent,
    Track,
)
from propdesk.risk.kill_switch import ACCOUNT_SCOPE
from propdesk.sim.broker import SimBroker, as_received
from propdesk.sim.results import DayOutcome, SimulatedTrade
from trading_daemon.bus import Envelope, IntentQueue, Pulse, Withdrawal
from trading_daemon.documents import event_of
from trading_daemon.feeds import StoredDay
from trading_daemon.ports import MinuteClosed
from trading_daemon.replay_driver import Item, ItemKind, Timeline
from trading_daemon.tasks.decider import BATCH_ENVELOPES_MAX, lockstep_order, track_request
from trading_daemon.tasks.order_manager import GUARD_UNUSED, answer_update
from trading_daemon.tasks.position_monitor import minute_events


@dataclass(frozen=True, slots=True)
class DayInputs:
    """What one desk's day is made of.

    Attributes
    ----------
    context, opened
        As pre-market would have frozen them; the corpus is in ``opened``.
    rules_of : date or None
        As-of date of the rules.
    timeline : Timeline
        What happens, in order.
    feed : StoredDay
        The day's bars; its own for each desk, for it remembers what is followed.
    aliases : Aliases or None
        Spellings of underlyings.
    revisions : mapping of str to int
        Which version of its record each document of the timeline is, by the document's id.
    carried : CarryOver or None
        What the day before handed over.
    """

    context: DayContext
    opened: DayOpened
    rules_of: date | None
    timeline: Timeline
    feed: StoredDay
    aliases: Aliases | None
    revisions: Mapping[str, int]
    carried: CarryOver | None = None


class SimulatedDay:
    """One desk's day.

    Parameters
    ----------
    inputs : DayInputs
    exchange : SimBroker
        Goes on from day to day, as what rests at it does.

    Notes
    -----
    A cause that only a person may lift is lifted with the opening: nobody would leave it for weeks.
    """

    def __init__(self, inputs: DayInputs, exchange: SimBroker) -> None:
        self._inputs = inputs
        self._context = inputs.context
        self._feed = inputs.feed
        self._exchange = exchange
        self._state = initial_state(inputs.context, inputs.carried)
        self._intents = IntentQueue(Pulse())
        self._waiting: list[Envelope] = []
        self._now_ns = 0
        self._digest = hashlib.sha256()
        self._decisions: Counter[str] = Counter()
        self._trades: dict[tuple[str, int], SimulatedTrade] = {}
        self._switches: set[str] = set()
        self._peak_utilisation = 0.0

    def run(self) -> DayOutcome:
        """Live the day through, from its opening to its last minute."""
        for number, item in enumerate(self._inputs.timeline.items):
            self._now_ns = item.at_ns
            if item.kind is ItemKind.OPEN:
                self._decide(self._opening())
            elif item.kind is ItemKind.MINUTE:
                self._close_minute(item)
            else:
                self._decide(self._received(item, number))
            self._settle()
        return self._outcome()

    def carry_over(self) -> CarryOver:
        """Give what the next day starts with."""
        return carry_over(self._state)

    def _opening(self) -> tuple[Event, ...]:
        opened = replace(self._inputs.opened, ts_ns=self._now_ns)
        if not self._state.levels.causes:
            return (opened,)
        lifted = OperatorCommand(
            KillLevel.ACTIVE, ACCOUNT_SCOPE, "simulation", "lifted by the next morning", self._now_ns
        )
        return opened, lifted

    def _received(self, item: Item, number: int) -> tuple[Event, ...]:
        new = item.row
        assert new is not None  # noqa: S101 - a document item always carries its row
        revision = self._inputs.revisions[item.document_id]
        row = InboxRow(
            number,
            new.source_key,
            revision,
            new.content_hash,
            new.document,
            new.received_ns,
            new.rejected_code,
        )
        event = event_of(row, self._inputs.aliases)
        return () if event is None else (event,)

    def _close_minute(self, item: Item) -> None:
        """Let the exchange meet the minute, and once its fills are decided, the reducer."""
        bars = self._feed.ending(item.at_ns)
        self._hear(self._exchange.on_bars(bars))
        if item.is_last:
            self._hear(self._exchange.end_session(item.at_ns))
        self._settle()
        self._decide(minute_events(MinuteClosed(item.at_ns, bars, is_last=item.is_last)))

    def _settle(self) -> None:
        """Decide what came back until nothing is under way, in batches as a replay makes them."""
        while self._waiting:
            batch = self._waiting[:BATCH_ENVELOPES_MAX]
            self._waiting = self._waiting[BATCH_ENVELOPES_MAX:]
            batch.sort(key=lockstep_order)
            self._decide(tuple(event for envelope in batch for event in envelope.events))

    def _decide(self, events: tuple[Event, ...]) -> None:
        folded = fold_events(self._state, events, self._now_ns, self._context)
        self._state = folded.state
        self._note(folded)
        for command in folded.commands:
            if isinstance(command, OrderIntent):
                self._intents.put(command)
        self._send()
        self._follow(folded)

    def _follow(self, folded: Folded) -> None:
        keys = tuple(sorted({c.price_key for c in folded.commands if isinstance(c, Track) and c.on}))
        if not keys:
            return
        request = track_request(keys, self._state)
        self._feed.follow(request.follow)
        quotes = (self._feed.latest(key, self._now_ns) for key in request.quote)
        bars = tuple(bar for bar in quotes if bar is not None)
        if bars:
            self._waiting.append(Envelope(bars))

    # ------------------------------------------------------------------ the order manager's part

    def _send(self) -> None:
        while (taken := self._intents.take()) is not None:
            if isinstance(taken, Withdrawal):
                state = IntentState.WITHDRAWN
                self._tell(Answer(taken.place, state, state.value))
            elif taken.is_entry and not self._may_enter(taken):
                self._tell(Answer(taken, IntentState.BLOCKED, "KILL_SWITCH"))
            else:
                self._place(taken)

    def _may_enter(self, intent: OrderIntent) -> bool:
        """Say what the claim would: no level of the account or of the intent's own scopes forbids entries."""
        level = self._state.levels.level_of((ACCOUNT_SCOPE, *intent.kill_scopes))
        return level.severity < KillLevel.ENTRIES_BLOCKED.severity

    def _place(self, intent: OrderIntent) -> None:
        try:
            ack, facts = self._exchange.handle(as_received(intent, self._now_ns))
        except Rejected as fault:
            self._tell(Answer(intent, IntentState.REJECTED, str(fault)))
            return
        self._hear(facts)
        reason = GUARD_UNUSED if intent.guard and not ack.guard else ""
        self._tell(Answer(intent, IntentState.WORKING, reason))

    def _tell(self, answer: Answer) -> None:
        update = answer_update(answer, self._now_ns)
        if update is not None:
            self._hear((update,))

    def _hear(self, updates: Iterable[BrokerUpdate]) -> None:
        self._waiting.extend(Envelope((update,)) for update in updates)

    # ------------------------------------------------------------------ what the day came to

    def _note(self, folded: Folded) -> None:
        self._digest.update(folded.outputs_hash.encode())
        self._decisions.update(decision.code.value for decision in folded.decisions)
        for trade in folded.trades:  # a leg that is told again is told whole
            name = (trade.group_id, trade.leg_number)
            self._trades[name] = _trade(trade, folded.state.groups[trade.group_id])
        self._switches.update(str(change.cause) for change in folded.levels if change.is_open)
        total = folded.state.corpus.total_paise
        if folded.ledger and total > 0:
            self._peak_utilisation = max(self._peak_utilisation, folded.state.corpus.deployed_paise / total)

    def _outcome(self) -> DayOutcome:
        state, opened = self._state, self._inputs.opened
        closing = state.corpus.total_paise if state.corpus.accounts else opened.opening_corpus_paise
        live = [group for group in state.groups.values() if not group.is_closed and not group.is_shadow]
        return DayOutcome(
            trade_date=self._context.trade_date,
            rules_of=self._inputs.rules_of,
            ruleset_version=self._context.ruleset.ruleset_version,
            opening_paise=opened.opening_corpus_paise,
            closing_paise=closing,
            marked_paise=closing + sum(self._mark(state, group) for group in live),
            peak_utilisation_ratio=self._peak_utilisation,
            open_groups=len(live),
            decisions=dict(sorted(self._decisions.items())),
            trades=tuple(self._trades.values()),
            switches=tuple(sorted(self._switches)),
            digest=self._digest.hexdigest(),
        )

    def _mark(self, state: EngineState, live: LiveGroup) -> int:
        """Give what leaving at the last price would add to the corpus, with the charges of both sides."""
        move = open_pnl_paise(Turn(state, self._now_ns, self._context), live)
        legs = [leg for leg, done in zip(live.group.legs, live.settled, strict=True) if not done]
        quantity = sum(leg.filled_quantity for leg in legs)
        if not quantity:
            return 0
        entry = sum(leg.entry_notional_paise for leg in legs)
        charges = self._context.charges(
            instrument=live.instrument,
            product=live.product,
            side=live.group.side,
            quantity=quantity,
            entry_notional_paise=entry,
            exit_notional_paise=entry + live.group.side.sign * move,
            on_date=self._context.trade_date,
        )
        return move - charges


def _trade(trade: ExecutedTrade, live: LiveGroup) -> SimulatedTrade:
    planned = sum(leg.quantity for leg in live.group.legs)
    return SimulatedTrade(
        group_id=trade.group_id,
        leg_number=trade.leg_number,
        signal_id=trade.signal_id,
        advisor_id=live.signal.advisor_id,
        category=live.instrument.category,
        rule_text=trade.rule_text,
        is_reverse=trade.is_reverse,
        instrument_key=trade.instrument_key,
        side=trade.side,
        quantity=trade.quantity,
        entry_ns=trade.entry_ns,
        entry_paise=trade.entry_paise,
        exit_ns=trade.exit_ns,
        exit_paise=trade.exit_paise,
        exit_reason=trade.exit_reason,
        gross_pnl_paise=trade.gross_pnl_paise,
        charges_paise=trade.charges_paise,
        net_pnl_paise=trade.net_pnl_paise,
        risk_paise=live.planned_risk_paise * trade.quantity // planned if planned else 0,
    )
